import * as z from 'zod'

/** Looks at a value without making anything of it. */
interface Look {
  /** True only for a value that the schema takes and leaves as it is. */
  takes(value: unknown): boolean
  /** True where the schema refuses whatever is not taken; else it may take it and change it. */
  exact: boolean
}

/**
 * Makes of a schema a test for the values that it takes and leaves as they are, such as nearly every request: no
 * copy is made of them, and no field is visited that is not there. What the test does not take the schema still may;
 * whoever gets a false asks the schema itself.
 */
export function takesAsIs(schema: z.core.$ZodType): (value: unknown) => boolean {
  return lookOf(schema).takes
}

function lookOf(schema: z.core.$ZodType): Look {
  const { def } = (schema as z.core.$ZodTypes)._zod
  const holds = checksOf((def.checks ?? []) as z.core.$ZodChecks[])
  if (holds === undefined || putsInSomething(schema)) return askingItself(schema)
  switch (def.type) {
    case 'unknown':
      return exactly(holds)
    case 'string':
    case 'boolean':
      return exactly((value) => typeof value === def.type && holds(value))
    case 'number':
      return exactly((value) => Number.isFinite(value) && holds(value))
    case 'literal':
      return oneOf(def.values, holds)
    case 'enum':
      return oneOf(Object.values(def.entries), holds)
    case 'optional':
    case 'nullable': {
      const nothing = def.type === 'optional' ? undefined : null
      const { takes, exact } = lookOf(def.innerType)
      return { takes: (value) => (value === nothing || takes(value)) && holds(value), exact }
    }
    case 'array': {
      const { takes, exact } = lookOf(def.element)
      return { takes: (value) => Array.isArray(value) && holds(value) && value.every(takes), exact }
    }
    case 'union': {
      const looks = def.options.map(lookOf)
      // What an earlier one takes and changes is not for a later one, unless the value itself says whose it is.
      if (!('discriminator' in def || looks.slice(0, -1).every(({ exact }) => exact))) break
      const exact = looks.every((look) => look.exact)
      return { takes: (value) => looks.some(({ takes }) => takes(value)) && holds(value), exact }
    }
    case 'record': {
      const name = def.keyType as z.core.$ZodTypes
      // Other names may be asked for, or become others.
      if (def.mode !== undefined || name._zod.def.type !== 'string' || !lookOf(name).exact) break
      return { takes: entriesOf(lookOf(name).takes, lookOf(def.valueType).takes, holds), exact: false }
    }
    case 'object':
      if (Object.values(def.shape).some(putsInSomething)) break
      return { takes: fieldsOf(def.shape, holds), exact: false }
  }
  return askingItself(schema)
}

/** Whether a value becomes another, or one comes of nothing. */
function putsInSomething(schema: z.core.$ZodType): boolean {
  const { def, optin } = (schema as z.core.$ZodTypes)._zod
  return optin === 'defaulted' || ('coerce' in def && def.coerce === true)
}

type Test = (value: unknown) => boolean

function exactly(takes: Test): Look {
  return { takes, exact: true }
}

function oneOf(values: readonly unknown[], holds: Test): Look {
  const known = new Set(values)
  return exactly((value) => known.has(value) && holds(value))
}

/** What is not known here; of values it makes anew nobody can say that they are left as they are. */
function askingItself(schema: z.core.$ZodType): Look {
  const takes: Test = (value) => {
    const result = z.safeParse(schema, value)
    return result.success && result.data === value
  }
  return { takes, exact: false }
}

/** An object that has all fields it has to, and none that is unknown. */
function fieldsOf(shape: z.core.$ZodShape, holds: Test): Test {
  const fields = new Map(
    Object.entries(shape).map(([name, schema]) => {
      const needed = schema._zod.optin !== 'optional' || schema._zod.optout !== 'optional'
      return [name, { takes: lookOf(schema).takes, needed }]
    })
  )
  const allNeeded = [...fields.values()].filter(({ needed }) => needed).length
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    let found = 0
    for (const name in value) {
      const field = fields.get(name)
      if (field === undefined || !field.takes(value[name as keyof typeof value])) return false
      if (field.needed) found++
    }
    return found === allNeeded && holds(value)
  }
}

/** An object whose names and values are all taken. */
function entriesOf(nameTakes: Test, takes: Test, holds: Test): Test {
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    for (const name in value)
      // Of all names this one is left out.
      if (name === '__proto__' || !nameTakes(name) || !takes(value[name as keyof typeof value])) return false
    return holds(value)
  }
}

/** The checks of a schema as one; undefined where one of them is not known here. */
function checksOf(checks: readonly z.core.$ZodChecks[]): Test | undefined {
  const tests: Test[] = []
  for (const { _zod } of checks) {
    const { def } = _zod
    if (def.check === 'number_format' && def.format === 'safeint') tests.push(Number.isSafeInteger)
    else if (def.check === 'greater_than') tests.push(from(def.value, def.inclusive))
    else if (def.check === 'less_than') tests.push(upTo(def.value, def.inclusive))
    else if (def.check === 'min_length') tests.push(ofLength(from(def.minimum, true)))
    else if (def.check === 'max_length') tests.push(ofLength(upTo(def.maximum, true)))
    else return undefined
  }
  const [only] = tests
  return only !== undefined && tests.length === 1 ? only : (value) => tests.every((test) => test(value))
}

function from(least: unknown, inclusive: boolean): Test {
  return (value) => (value as number) > (least as number) || (inclusive && value === least)
}

function upTo(most: unknown, inclusive: boolean): Test {
  return (value) => (value as number) < (most as number) || (inclusive && value === most)
}

function ofLength(holds: Test): Test {
  return (value) => holds((value as string | unknown[]).length)
}
