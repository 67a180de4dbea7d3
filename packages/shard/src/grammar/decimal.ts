/** A decimal number exactly: `digits` times ten to the power of minus `places`. */
export interface Decimal {
  readonly digits: bigint
  readonly places: number
}

/** The decimal that JSON writes for a double, the one everybody reads it as. */
export function decimalOf(value: number): Decimal {
  const [, sign = '', whole = '0', part = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(value)) ?? []
  const places = part.length - Number(exponent)
  const digits = BigInt(sign + whole + part)
  return places >= 0 ? { digits, places } : { digits: digits * 10n ** BigInt(-places), places: 0 }
}

/** `value` in steps of ten to the power of minus `places`, rounded up or down. */
export function scaled({ digits, places }: Decimal, to: number, up: boolean): bigint {
  if (to >= places) return digits * 10n ** BigInt(to - places)
  const unit = 10n ** BigInt(places - to)
  const quotient = digits / unit
  const rest = digits % unit
  if (rest === 0n) return quotient
  return up ? (rest > 0n ? quotient + 1n : quotient) : rest < 0n ? quotient - 1n : quotient
}

/** The double that text with so many places stands for. */
export function doubleOf(digits: bigint, places: number): number {
  return Number(`${digits}e-${places}`)
}
