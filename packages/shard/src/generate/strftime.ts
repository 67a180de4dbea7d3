const months = 'January February March April May June July August September October November December'.split(
  ' '
)
const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ')

/** The fields of C's `strftime` that chat templates use, in local time and in English. Others stay as they are. */
export function strftime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const fields: Readonly<Record<string, string>> = {
    Y: String(date.getFullYear()),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    B: months[date.getMonth()] as string,
    b: (months[date.getMonth()] as string).slice(0, 3),
    A: days[date.getDay()] as string,
    a: (days[date.getDay()] as string).slice(0, 3),
    H: two(date.getHours()),
    I: two(date.getHours() % 12 || 12),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: date.getHours() < 12 ? 'AM' : 'PM',
    y: two(date.getFullYear() % 100),
    '%': '%'
  }
  return format.replace(/%([a-zA-Z%])/g, (all, field: string) => fields[field] ?? all)
}
