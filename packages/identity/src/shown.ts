/** A text of somebody else's, cut to what a message has room for. */
export function shown(text: unknown, length = 80): string {
  if (typeof text !== 'string') return typeof text
  return text.length > length ? `${text.slice(0, length)}…` : text
}
