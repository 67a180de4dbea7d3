const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Whether a JSON text nests no more than `levels` deep. What JSON.parse reads without a stack, JSON.stringify and
 * every other walk of the value needs one for; so it is known before the text is parsed.
 */
export function nestsWithin(text: string, levels: number): boolean {
  // A text that opens no more than that needs no closer look.
  if (opensWithin(text, levels)) return true
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = endOfString(text, at + 1)
      if (at < 0) return true
      continue
    }
    // `{` and `[`, `}` and `]` differ by one bit, in which no other character of JSON joins them.
    const bracket = code & ~0x20
    if (bracket === 0x5b && ++depth > levels) return false
    if (bracket === 0x5d) depth--
  }
  return true
}

/** Whether there are no more than `most` brackets and braces that open, those in strings too. */
function opensWithin(text: string, most: number): boolean {
  if (text.length <= most) return true
  let opened = 0
  for (const bracket of '{[')
    for (let at = text.indexOf(bracket); at >= 0; at = text.indexOf(bracket, at + 1))
      if (++opened > most) return false
  return true
}

/**
 * How many names of members a JSON text has, those that come twice counted twice: JSON.parse takes the last of them
 * in silence, and a reader may see the first.
 */
export function countNames(text: string): number {
  let names = 0
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    const end = endOfString(text, at + 1)
    if (end < 0) break
    at = end + 1
    while (/\s/.test(text.charAt(at))) at++
    if (text[at] === ':') names++
  }
  return names
}

/** Where the string ends that began before `at`, or -1; jumps from quote to quote, for most text is in strings. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH && end - 1 - slashes >= at) slashes++
    if (slashes % 2 === 0) return end
  }
  return -1
}
