// A scheme, and no character that RFC 3987 has only escaped.
const pattern = /^[A-Za-z][A-Za-z0-9+.-]*:[^\s\p{Cc}<>"{}|\\^`]+$/u
const maxUrlLength = 2 ** 16

/** Whether a value is an absolute URL, a DID or a URN: what the data model wants for every `id`. */
export function isUrl(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > maxUrlLength || !pattern.test(value)) return false
  // The scheme of a web address has to be followed by a host; "https:a" would be a compact IRI to one reader and a host
  // to another.
  return !/^https?:/i.test(value) || (/^https?:\/\//i.test(value) && URL.canParse(value))
}
