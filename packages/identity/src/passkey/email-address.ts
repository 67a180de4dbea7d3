import { MAX_ADDRESS_LENGTH } from './limits.ts'

// Local part of RFC 5321 without the quoted form, and beyond ASCII as RFC 6531 allows.
const localPart = /^[^\s@"(),:;<>[\\\]\p{Cc}\p{Cf}\p{Cs}]{1,64}$/u

/**
 * One form for all spellings of an address of email: NFC, lower-case, the domain in ASCII. What is behind a plus stays:
 * to some providers it is part of the name.
 *
 * @returns `undefined` for what is no address that mail goes to.
 */
export function normalizeAddress(text: unknown): string | undefined {
  if (typeof text !== 'string' || text.length > MAX_ADDRESS_LENGTH || !text.isWellFormed()) return undefined
  const [local, domain, ...rest] = text.trim().normalize('NFC').toLowerCase().split('@')
  if (local === undefined || domain === undefined || rest.length > 0) return undefined
  if (!localPart.test(local) || /^\.|\.\.|\.$/.test(local)) return undefined
  if (!/^[^\s/?#:@[\]\\%]+$/.test(domain) || !URL.canParse(`http://${domain}`)) return undefined
  const { hostname } = new URL(`http://${domain}`)
  // A name with a dot, and no number: `127.1` is the address of a machine.
  if (!/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/.test(hostname)) return undefined
  const address = `${local}@${hostname}`
  return address.length > MAX_ADDRESS_LENGTH ? undefined : address
}
