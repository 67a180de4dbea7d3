import { test } from 'vitest'
import { bothWays } from './interop.ts'

// A thousand documents of each suite are in interop.deep.ts.
const runs = typeof document === 'undefined' ? 100 : 20

test.each(['eddsa-jcs-2022', 'eddsa-rdfc-2022'] as const)(
  `@digitalbazaar/vc and we verify each other, ${runs} documents of %s`,
  (name) => bothWays(name, runs, 6)
)
