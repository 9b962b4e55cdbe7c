// fetch with what our views expect: the CSRF token, JSON both ways, the same origin only.

/** The cookie first: signing in again in another tab changes it, and the page's own token is old then. */
export function csrfToken() {
  const cookie = /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie);
  return cookie ? decodeURIComponent(cookie[1]) : (document.querySelector('meta[name="csrf-token"]')?.content ?? "");
}

export function sendJson(url, method, body, options = {}) {
  return fetch(url, {
    method,
    credentials: "same-origin",
    redirect: "manual",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken() },
    body: body === undefined ? undefined : JSON.stringify(body),
    ...options,
  });
}

/** A redirect to the sign-in page or a 401/403 means that the session is over. */
export function isSignedOut(response) {
  return response.type === "opaqueredirect" || response.status === 401 || response.status === 403;
}
