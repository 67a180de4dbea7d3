/** What a request asks for, in the two forms that are asked for here. */
export interface Address {
  url: string
  path: string
}

// What URL leaves as it is: no query, no encoding, no segment that begins with a dot.
const plainTarget = /^(?:\/[\w-][\w.:~-]*)+$/

/** The address of a request by RFC 9112 §3.2. @throws A TypeError where its target or its Host is none. */
export function addressOf(target: string, host: string | null): Address {
  if (/^https?:\/\//.test(target)) return parsed(target)
  // A URL would take what is no host for a user's name or a path.
  if (host === null || !isHost(host) || !target.startsWith('/')) throw new TypeError('No host or no target')
  const url = `http://${host}${target}`
  return plainTarget.test(target) ? { url, path: target } : parsed(url)
}

function parsed(text: string): Address {
  const [beforeQuery = ''] = text.split('?', 1)
  // A URL would take it for a slash.
  if (beforeQuery.includes('\\')) throw new TypeError('A backslash in the path')
  const { href, pathname } = new URL(text)
  return { url: href, path: pathname }
}

// Nearly all requests name one host, which need not be looked at again.
let last = { host: '', holds: false }

function isHost(host: string): boolean {
  if (last.host !== host) last = { host, holds: !/[/\\?#@]/.test(host) && URL.canParse(`http://${host}`) }
  return last.holds
}
