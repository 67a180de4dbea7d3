const pattern =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?|24:00:00(?:\.0{1,9})?)(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))$/

/**
 * The milliseconds since 1970 of an XSD date time stamp (XML Schema 1.1, section 3.4.28), or `undefined` when the
 * text is none: another form, no time zone, a day the calendar does not have. Years have four digits.
 */
export function parseDateTime(text: unknown): number | undefined {
  if (typeof text !== 'string' || !pattern.test(text)) return undefined
  const year = Number(text.slice(0, 4))
  const month = Number(text.slice(5, 7))
  if (Number(text.slice(8, 10)) > daysOf(year, month)) return undefined
  // The pattern and the calendar leave nothing that ECMAScript would not read; 24:00:00 it reads as XSD does.
  return Date.parse(text)
}

function daysOf(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}
