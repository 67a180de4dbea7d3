import type { BudgetFault, VerificationBudget, VerificationLimits } from './types.ts'

type Name = keyof VerificationLimits

// Own choices: several times what a presentation of ten credentials from ten issuers needs, and some seconds of work at
// the very worst.
const defaults: Required<VerificationLimits> = {
  documents: 64,
  bytes: 16 * 2 ** 20,
  proofs: 256,
  termWork: 200_000,
  schemaWork: 4_000_000
}

const faults: Readonly<Record<Name, BudgetFault>> = {
  documents: 'BUDGET_DOCUMENTS',
  bytes: 'BUDGET_BYTES',
  proofs: 'BUDGET_PROOFS',
  termWork: 'BUDGET_TERM_WORK',
  schemaWork: 'BUDGET_SCHEMA_WORK'
}

const asks: Readonly<Record<Name, (limit: number) => string>> = {
  documents: (limit) => `asks for more than ${limit} documents`,
  bytes: (limit) => `reads more than ${limit} bytes of other documents`,
  proofs: (limit) => `has more than ${limit} proofs to verify`,
  termWork: (limit) => `takes more than ${limit} steps through contexts and names`,
  schemaWork: (limit) => `asks its schemas for more than ${limit} steps`
}

/**
 * What one verification may do, all documents in it together. It is made when a verification begins and handed down, so
 * that many small parts have one sum.
 */
export function createVerificationBudget(limits: VerificationLimits = {}): VerificationBudget {
  const spent: Record<Name, number> = { documents: 0, bytes: 0, proofs: 0, termWork: 0, schemaWork: 0 }
  const answers = new WeakMap<object, Map<string, Promise<unknown>>>()
  const limitOf = (name: Name): number => limits[name] ?? defaults[name]
  return {
    spent,
    left: (name) => Math.max(0, limitOf(name) - spent[name]),
    spend(name, amount) {
      spent[name] += amount
      if (spent[name] <= limitOf(name)) return undefined
      const why = `The verification ${asks[name](limitOf(name))}; the option limits.${name} allows more`
      return { ok: false, code: faults[name], message: why }
    },
    once<T>(asked: object, question: string, ask: () => Promise<T>): Promise<T> {
      const known = answers.get(asked) ?? new Map<string, Promise<unknown>>()
      answers.set(asked, known)
      const answer = known.get(question) ?? ask()
      known.set(question, answer)
      // Of one question and one asker: whoever asks first says what comes.
      return answer as Promise<T>
    }
  }
}
