/** The bearer token: in this tab's sessionStorage, in a header, never in a URL. */

const KEY = "nexus-token";

export const token = () => sessionStorage.getItem(KEY) ?? "";

/** @param {string} value empty: forget it */
export function keepToken(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/** @returns {Record<string, string>} */
export const authorisation = () => (token() ? { Authorization: `Bearer ${token()}` } : {});
