/** The place in the page, kept in the address after `#`, so that places can be linked and gone back to. */

function read(): { path: string[]; query: URLSearchParams } {
  const [path = "", query = ""] = window.location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

class Place {
  path = $state.raw<string[]>([]);
  query = $state.raw(new URLSearchParams());

  constructor() {
    this.look();
    window.addEventListener("hashchange", () => this.look());
  }

  /** The page's name; empty: the site. */
  get page(): string {
    return this.path[0] ?? "";
  }

  private look(): void {
    const { path, query } = read();
    this.path = path;
    this.query = query;
  }
}

export const place = new Place();

export function to(...parts: string[]): string {
  return "#/" + parts.map(encodeURIComponent).join("/");
}

/** Link to an EVSE (`CP001/1`) or a session (`CP001/17`) below a page. */
export function toItem(page: string, id: string): string {
  return to(page, ...id.split("/"));
}

export function go(href: string): void {
  window.location.hash = href;
}
