// Reads a Flux script from standard input; 0 when InfluxData's own analyser takes it: syntax, names, types.
const { is_valid_flux } = require("@influxdata/flux-lsp-node");
const text = require("node:fs").readFileSync(0, "utf8");
process.exit(is_valid_flux(text) ? 0 : 1);
