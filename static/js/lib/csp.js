// The page's nonce, for the one library (CodeMirror) that adds a <style> element. Browsers hide the attribute from
// selectors of style sheets but not from the property.
export function cspNonce() {
  return document.querySelector("script[nonce]")?.nonce ?? "";
}
