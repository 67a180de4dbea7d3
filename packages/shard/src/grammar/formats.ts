const day =
  '(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))'
const date = `\\d{4}-${day}`
const time = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)'
const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?'
const hostname = `${label}(?:\\.${label}){0,6}`
// Without `--`, which begins names in Punycode, and with a last part that is no number.
const part = '[a-zA-Z0-9]{1,20}(?:-[a-zA-Z0-9]{1,20}){0,2}'
const host = `(?:${part}\\.){0,4}[a-zA-Z][a-zA-Z0-9]{0,20}`
const segment = '[a-zA-Z0-9._~!$&()*+,;=:@-]*'
const hours = '\\d{1,4}H(?:\\d{1,4}M(?:\\d{1,4}S)?)?|\\d{1,4}M(?:\\d{1,4}S)?|\\d{1,4}S'
const days = '\\d{1,4}Y(?:\\d{1,4}M(?:\\d{1,4}D)?)?|\\d{1,4}M(?:\\d{1,4}D)?|\\d{1,4}D'

/**
 * The formats that texts are held to, as patterns. Each allows a part of what its standard does and nothing else:
 * dates have no 29 February, addresses are in their long form, URIs begin with http. Sources: RFC 3339 (dates,
 * times, durations), RFC 1123 and 5321 (host names, mail), RFC 3986 (URIs), RFC 2673 and 4291 (addresses), RFC 9562
 * (UUIDs).
 */
export const formats: Readonly<Record<string, string>> = {
  date: `^${date}$`,
  time: `^${time}$`,
  'date-time': `^${date}T${time}$`,
  duration: `^P(?:(?:${days})(?:T(?:${hours}))?|T(?:${hours})|\\d{1,4}W)$`,
  email: `^[a-zA-Z0-9_+-]{1,32}(?:\\.[a-zA-Z0-9_+-]{1,32}){0,2}@${hostname}$`,
  hostname: `^${hostname}$`,
  ipv4: `^${octet}(?:\\.${octet}){3}$`,
  ipv6: '^[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){7}$',
  uri: `^https?://${host}(?::[1-9]\\d{0,3})?(?:/${segment})*(?:\\?${segment})?(?:#${segment})?$`,
  uuid: '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$'
}

/** Formats that JSON Schema defines and nobody holds a text to here; a name that is none of its own says nothing. */
export const otherFormats: ReadonlySet<string> = new Set([
  'idn-email',
  'idn-hostname',
  'iri',
  'iri-reference',
  'uri-reference',
  'uri-template',
  'json-pointer',
  'relative-json-pointer',
  'regex'
])
