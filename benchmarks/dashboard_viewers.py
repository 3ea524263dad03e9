"""People who look at a controller: event streams, and a Chromium that measures its frames.

Run by benchmarks/dashboard.py; one line of JSON per page on standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import httpx
from playwright.async_api import Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
SETTLE_MS = 3000
FRAMES = """seconds => new Promise(resolve => {
  const frames = [], tasks = [], began = performance.now();
  const watch = new PerformanceObserver(list => tasks.push(...list.getEntries().map(e => e.duration)));
  watch.observe({entryTypes: ["longtask"]});
  let last = began;
  const step = now => {
    frames.push(now - last); last = now;
    if (now - began < seconds * 1000) return requestAnimationFrame(step);
    watch.disconnect();
    resolve({frames, tasks, heap: performance.memory?.usedJSHeapSize ?? 0});
  };
  requestAnimationFrame(step);
})"""


async def listen(url: str, token: str) -> None:
    """Listen as a dashboard does, until cancelled."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("GET", f"{url}/api/v1/events?deltas=true", headers=headers) as answer,
    ):
        answer.raise_for_status()
        async for _ in answer.aiter_bytes():
            pass


async def sign_in(page: Page, arguments: argparse.Namespace) -> None:
    """Open the dashboard."""
    await page.goto(arguments.url)
    await page.locator("input[name=name]").fill(arguments.name)
    await page.locator("input[name=password]").fill(arguments.password)
    await page.locator("button[type=submit]").click()
    await page.locator(".tree .node").first.wait_for()


async def measured(page: Page, path: str, seconds: float) -> dict[str, Any]:
    """Return the frames of one page."""
    await page.evaluate("path => { location.hash = `#/${path}`; }", path)
    await page.wait_for_timeout(SETTLE_MS)
    found: dict[str, Any] = await page.evaluate(FRAMES, seconds)
    nodes = await page.evaluate("document.querySelectorAll('*').length")
    return {"path": path, "nodes": nodes, **found}


async def main() -> None:
    """Parse the arguments, listen and look."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    for name in ("--url", "--token", "--name", "--password"):
        parser.add_argument(name, required=True)
    parser.add_argument("--streams", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("pages", nargs="+")
    arguments = parser.parse_args()
    async with asyncio.TaskGroup() as group, async_playwright() as playwright:
        url, token = arguments.url, arguments.token
        listening = [group.create_task(listen(url, token)) for _ in range(arguments.streams)]
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = await browser.new_page(viewport={"width": 1360, "height": 860})
        await sign_in(page, arguments)
        for path in arguments.pages:
            print(json.dumps(await measured(page, path, arguments.seconds)), flush=True)
        await browser.close()
        for task in listening:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
