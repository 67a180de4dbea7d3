import { codePoints, exceptRanges, normalRanges } from './code-points.ts'
import {
  ascii,
  choice,
  literal,
  optional,
  repeat,
  rule,
  sequence,
  type CodePointRanges,
  type Expression
} from './expression.ts'

const digit = ascii('09')
const hex = ascii('09', 'AF', 'af')
const quote = literal('"')

// A quotation mark, a backslash and control characters have to be escaped (RFC 8259, section 7).
const mustEscape: CodePointRanges = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c]
]
const plain = exceptRanges(mustEscape)

/** One character of a JSON string, in whatever spelling; halves of surrogate pairs come in pairs alone. */
const character: Expression = choice(
  codePoints(plain),
  sequence(
    literal('\\'),
    choice(
      ascii('"', '\\', '/', 'b', 'f', 'n', 'r', 't'),
      sequence(literal('u'), ascii('09', 'AC', 'EF', 'ac', 'ef'), hex, hex, hex),
      sequence(literal('u'), ascii('D', 'd'), ascii('07'), hex, hex),
      sequence(
        literal('u'),
        ascii('D', 'd'),
        ascii('89', 'AB', 'ab'),
        hex,
        hex,
        literal('\\u'),
        ascii('D', 'd'),
        ascii('CF', 'cf'),
        hex,
        hex
      )
    )
  )
)

/** A JSON string of so many characters, counted as code points. */
export function stringText(min: number, max: number): Expression {
  return sequence(quote, repeat(character, min, max), quote)
}

/** One character of these in a JSON string, in the spelling JSON.stringify gives it. */
export function spelled(ranges: CodePointRanges): Expression {
  const normal = normalRanges(ranges)
  // JSON.stringify writes seven of them with a letter or themselves, the other control characters with their number.
  const short: string[] = []
  const numbers: [string[], string[]] = [[], []]
  for (const [from, to] of normal) {
    for (let point = from; point <= Math.min(to, 0x5c); point++) {
      const text = JSON.stringify(String.fromCodePoint(point)).slice(1, -1)
      if (text.length === 2) short.push(text.charAt(1))
      if (text.length === 6) numbers[text.charAt(4) === '0' ? 0 : 1].push(text.charAt(5))
    }
  }
  const escaped = [
    ...(short.length > 0 ? [sequence(literal('\\'), ascii(...short))] : []),
    ...numbers.flatMap((digits, high) =>
      digits.length > 0 ? [sequence(literal(`\\u00${high}`), ascii(...digits))] : []
    )
  ]
  const open = normal.flatMap(([from, to]) =>
    plain.map(([low, high]): [number, number] => [Math.max(from, low), Math.min(to, high)])
  )
  const direct = codePoints(open.filter(([from, to]) => from <= to))
  return choice(direct, ...escaped)
}

/** What it costs to write down all characters but some. */
const workOfCharacter = 30

const anyPoint: CodePointRanges = [[0, 0x10ffff]]

/**
 * A JSON string that is none of these texts, every character in its one spelling; `add` makes a rule of an
 * expression, `spend` is told what it costs.
 */
export function stringExcept(
  texts: readonly string[],
  { add, spend }: { add(expression: Expression): string; spend(work: number): void }
): Expression {
  const tail = rule(add(repeat(spelled(anyPoint), 0)))
  const points = texts.filter((text) => !/\p{Surrogate}/u.test(text)).map((text) => [...text])
  const known = new Map<string, Expression>()
  const othersThan = (taken: CodePointRanges): Expression => {
    const key = taken.join(';')
    const others = known.get(key) ?? spelled(exceptRanges(taken))
    known.set(key, others)
    return others
  }
  const rest = (all: readonly (readonly string[])[]): Expression => {
    if (all.length === 0) return tail
    spend(workOfCharacter + all.length)
    const next = new Map<string, (readonly string[])[]>()
    for (const [first, ...others] of all) {
      if (first !== undefined) next.set(first, [...(next.get(first) ?? []), others])
    }
    const taken = normalRanges(
      [...next.keys()].map((text): [number, number] => {
        const point = text.codePointAt(0) ?? 0
        return [point, point]
      })
    )
    return choice(
      ...(all.some((text) => text.length === 0) ? [] : [sequence()]),
      ...[...next].map(([first, others]) =>
        sequence(literal(JSON.stringify(first).slice(1, -1)), rest(others))
      ),
      sequence(othersThan(taken), tail)
    )
  }
  return sequence(quote, rest(points), quote)
}

/** Digits of a whole number at most: every one of them is exact in a double (2^53 has sixteen). */
export const maxIntegerDigits = 15

/** A whole number in plain digits. */
export const integerText: Expression = sequence(
  optional(literal('-')),
  choice(literal('0'), sequence(ascii('19'), repeat(digit, 0, maxIntegerDigits - 1)))
)

/** A number; two digits of an exponent keep it within what a double holds. */
export const numberText: Expression = sequence(
  integerText,
  optional(sequence(literal('.'), repeat(digit, 1, maxIntegerDigits))),
  optional(sequence(ascii('E', 'e'), optional(ascii('+', '-')), repeat(digit, 1, 2)))
)

/** Zero or more of these between brackets, commas between them. */
export function list(open: string, item: Expression, close: string): Expression {
  return sequence(
    literal(open),
    optional(sequence(item, repeat(sequence(literal(','), item), 0))),
    literal(close)
  )
}

/** The rules of any JSON value, without blanks: `json` for a value, `json-object` for an object. */
export function anyJson(): [string, Expression][] {
  const string = stringText(0, Infinity)
  return [
    [
      'json',
      choice(
        string,
        numberText,
        literal('true'),
        literal('false'),
        literal('null'),
        rule('json-object'),
        rule('json-array')
      )
    ],
    ['json-object', list('{', sequence(string, literal(':'), rule('json')), '}')],
    ['json-array', list('[', rule('json'), ']')]
  ]
}
