const pattern =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))$/

/**
 * The milliseconds since 1970 of an XSD date time stamp (XML Schema 1.1, section 3.4.28), or `undefined` when the
 * text is none: another form, no time zone, a day the calendar does not have. Years have four digits.
 */
export function parseDateTime(text: unknown): number | undefined {
  const parts = typeof text === 'string' ? pattern.exec(text) : null
  if (parts === null) return undefined
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number
  ]
  // Midnight at the end of a day is 24:00:00 in XSD; ECMAScript reads it too.
  if (hour > 24 || minute > 59 || second > 59 || (hour === 24 && !/T24:00:00(?:\.0+)?[Z+-]/.test(parts[0])))
    return undefined
  const days = new Date(Date.UTC(2000, month, 0))
  days.setUTCFullYear(year, month, 0)
  if (month < 1 || month > 12 || day < 1 || day > days.getUTCDate()) return undefined
  const time = Date.parse(parts[0])
  return Number.isNaN(time) ? undefined : time
}
