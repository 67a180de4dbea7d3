import type { HopAccount } from '@kwaai/interface'

const figures = ['computeMs', 'queueMs', 'steps'] as const

function placeOf({ peer, from, to, numericsClass }: HopAccount): string {
  return JSON.stringify([peer, from, to, numericsClass])
}

/** What hops did for several sessions together: one entry a hop, in the order in which they first appear. */
export function sumOfAccounts(accounts: readonly HopAccount[]): HopAccount[] {
  const sums = new Map<string, HopAccount>()
  for (const account of accounts) {
    const sum = sums.get(placeOf(account))
    if (sum === undefined) {
      sums.set(placeOf(account), { ...account })
      continue
    }
    for (const name of figures) {
      const more = account[name]
      if (more !== undefined) sum[name] = (sum[name] ?? 0) + more
    }
    if (account.rttMs !== undefined) sum.rttMs = account.rttMs
  }
  return [...sums.values()]
}

/** What hops did since an earlier account, without those that did nothing. */
export function accountSince(
  before: readonly HopAccount[],
  now: readonly HopAccount[] | undefined
): readonly HopAccount[] | undefined {
  if (now === undefined) return undefined
  const earlier = new Map(sumOfAccounts(before).map((account) => [placeOf(account), account]))
  return sumOfAccounts(now)
    .map((account) => {
      const old = earlier.get(placeOf(account))
      const rest = { ...account }
      for (const name of figures) {
        const value = account[name]
        if (value !== undefined) rest[name] = Math.max(0, value - (old?.[name] ?? 0))
      }
      return rest
    })
    .filter(({ steps }) => steps !== 0)
}
