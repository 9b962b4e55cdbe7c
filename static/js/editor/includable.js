// Which prompts can be included, by name: asked of the server once a page, kind and syntax.
const known = new Map();

/** Answers [{name: "greeting@production", detail: "v3"}, …]; nothing where the server cannot be reached. */
export async function includable(url, kind, syntax) {
  const key = `${url} ${kind} ${syntax}`;
  if (!known.has(key)) {
    const asked = fetch(`${url}&kind=${kind}&syntax=${syntax}`, { credentials: "same-origin", headers: { Accept: "application/json" } });
    known.set(
      key,
      asked
        .then((response) => (response.ok ? response.json() : Promise.reject(new Error(String(response.status)))))
        .then((answer) => answer.items)
        .catch(() => {
          known.delete(key);
          return [];
        }),
    );
  }
  return known.get(key);
}
