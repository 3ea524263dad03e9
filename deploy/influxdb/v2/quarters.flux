// Means and maxima of a quarter of an hour, kept for years. Looks back six hours, for what came late.
// influx bucket create --org depot --name wattkeeper-quarters --retention 0
// influx task create --org depot --file quarters.flux
option task = {name: "wattkeeper quarters", every: 15m, offset: 1m}

steady = () =>
    from(bucket: "wattkeeper")
        |> range(start: -6h)
        |> filter(fn: (r) => r._measurement =~ /^(grid|charger|circuit|allocation)$/ and r._field != "method")
        |> toFloat()

steady()
    |> aggregateWindow(every: 15m, fn: mean, createEmpty: false)
    |> map(fn: (r) => ({r with _field: "mean_" + r._field}))
    |> to(bucket: "wattkeeper-quarters", org: "depot")

steady()
    |> aggregateWindow(every: 15m, fn: max, createEmpty: false)
    |> map(fn: (r) => ({r with _field: "max_" + r._field}))
    |> to(bucket: "wattkeeper-quarters", org: "depot")
