import type { CallOptions, Did, IdentityLevel, IdentityProof } from '@kwaai/interface'
import { createExpiringSet } from '../expiring-set.ts'
import { canonicalizeJson } from '../json.ts'
import { encodeBase64Url } from '../multikey.ts'
import type {
  AccountLink,
  AccountRecord,
  AccountRefusal,
  Accounts,
  AccountsComponents,
  AccountsInit,
  OpenAccount
} from './account-types.ts'
import { createCeremonies, refusal } from './ceremonies.ts'
import { DEFAULT_MAX_ACCOUNTS, DEFAULT_MAX_CEREMONIES, MAX_ANSWER_LENGTH, MAX_LINKS } from './limits.ts'
import { STATEMENT_MAX_AGE_S, statementHash } from './link-statement.ts'
import { prefixedStore } from './prefixed-store.ts'
import { base64UrlBytes } from './text.ts'

/** An answer, and what it answers. */
const maxBindingBytes = 2 * MAX_ANSWER_LENGTH

/** From the least to the most. */
const levels: readonly IdentityLevel[] = ['anonymous', 'email', 'passkey', 'did']

/** Keeps accounts that begin with a key and move up: each level adds a way in, and changes nothing of what is there. */
export function createAccounts(init: AccountsInit, components: AccountsComponents): Accounts {
  const { audience, maxAccounts = DEFAULT_MAX_ACCOUNTS, lowerLevels = 'refused' } = init
  const { store, clock } = components
  const providers = new Map(components.providers.map((provider) => [provider.level, provider]))
  const pending = createCeremonies('identity/account/link/', init, components)
  const { maxCeremonies = DEFAULT_MAX_CEREMONIES } = init
  const used = createExpiringSet({ prefix: 'identity/account/used/', maxEntries: maxCeremonies }, components)
  let count: number | undefined
  // One change at a time: a name is looked up and taken without another in between.
  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work)
    queue = result.catch(() => undefined)
    return result
  }
  const recordKey = (did: Did): string => `identity/account/record/${did}`
  const nameKey = (level: IdentityLevel, name: string): string => `identity/account/name/${level}/${name}`
  const encode = (value: unknown): Uint8Array => new TextEncoder().encode(canonicalizeJson(value))
  const noLevel = refusal('LEVEL_UNKNOWN', 'Cannot come in so: this level is not offered here')

  async function read(did: Did, options: CallOptions): Promise<AccountRecord | undefined> {
    const bytes = await store.get(recordKey(did), options)
    return bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as AccountRecord)
  }

  async function ownerOf(level: IdentityLevel, name: string, options: CallOptions): Promise<Did | undefined> {
    const bytes = await store.get(nameKey(level, name), options)
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes)
  }

  async function write(
    record: AccountRecord,
    { level, name }: AccountLink,
    options: CallOptions
  ): Promise<void> {
    await store.batch(
      [
        { type: 'put', key: recordKey(record.did), value: encode(record) },
        { type: 'put', key: nameKey(level, name), value: new TextEncoder().encode(record.did) }
      ],
      options
    )
  }

  async function create(proof: IdentityProof, options: CallOptions): Promise<AccountRecord | AccountRefusal> {
    if (count === undefined) {
      count = 0
      const range = { gte: 'identity/account/record/', lt: 'identity/account/record0', ...options }
      for await (const _ of store.entries(range)) count++
    }
    if (count >= maxAccounts) return refusal('FULL', 'Cannot make the account: there is no room for more')
    const link = linkOf(proof, '', clock.now())
    const record: AccountRecord = { did: proof.name, createdAt: clock.now(), links: [link] }
    await write(record, link, options)
    count++
    return record
  }

  async function find(proof: IdentityProof, options: CallOptions): Promise<AccountRecord | AccountRefusal> {
    const did = await ownerOf(proof.level, proof.name, options)
    const record = did === undefined ? undefined : await read(did, options)
    if (record === undefined) {
      if (proof.level === 'anonymous') return create(proof, options)
      return refusal('NOT_LINKED', 'Cannot come in so: no account has been linked to it')
    }
    const highest = Math.max(...record.links.map(({ level }) => levels.indexOf(level)))
    const lower = proof.level !== 'anonymous' && levels.indexOf(proof.level) < highest
    if (lower && lowerLevels === 'refused') {
      return refusal('LEVEL_TOO_LOW', 'Cannot come in so: the account has moved up, and asks for more')
    }
    return record
  }

  /** A statement counts once, also after what it linked was removed. */
  async function useUp(hash: Uint8Array, options: CallOptions): Promise<AccountRefusal | undefined> {
    // A clock ahead of the service's by as much may have made it.
    const until = Math.ceil(clock.now() / 1000) + 2 * STATEMENT_MAX_AGE_S
    const outcome = await used.add(encodeBase64Url(hash), until, new Uint8Array(0), options)
    if (outcome === 'added') return undefined
    return outcome === 'known'
      ? refusal('STATEMENT_INVALID', 'Cannot change the account: what it signed was used before')
      : refusal('TOO_MANY', 'Cannot change the account: too many are at it. Try again later')
  }

  async function add(
    did: Did,
    proof: IdentityProof,
    statement: string,
    options: CallOptions
  ): Promise<{ ok: true; record: AccountRecord } | AccountRefusal> {
    const owner = await ownerOf(proof.level, proof.name, options)
    if (owner !== undefined && owner !== did) {
      return refusal('LINKED_ELSEWHERE', 'Cannot link it: it opens another account')
    }
    // Between its proof and its turn the same link may have been removed.
    if ((await providers.get(proof.level)?.keeps?.(did, proof.binding, options)) === false) {
      return refusal('PROOF_INVALID', 'Cannot link it: it was removed meanwhile')
    }
    const record = (await read(did, options)) as AccountRecord
    const links = record.links.filter(({ level, name }) => level !== proof.level || name !== proof.name)
    if (links.length >= MAX_LINKS) {
      return refusal('FULL', `Cannot link it: an account has at most ${MAX_LINKS} links`)
    }
    const link = linkOf(proof, statement, clock.now())
    const changed = { ...record, links: [...links, link] }
    await write(changed, link, options)
    return { ok: true, record: changed }
  }

  /** What a provider keeps for a proof goes, unless the account is linked by it. */
  async function letGo(did: Did, proof: IdentityProof, options: CallOptions): Promise<void> {
    const links = (await read(did, options))?.links ?? []
    if (links.some(({ level, name }) => level === proof.level && name === proof.name)) return
    await providers.get(proof.level)?.forget?.(did, proof.binding, options)
  }

  async function remove(
    did: Did,
    level: IdentityLevel,
    name: string,
    options: CallOptions
  ): Promise<{ ok: true; record: AccountRecord } | AccountRefusal> {
    const record = (await read(did, options)) as AccountRecord
    const removed = record.links.find((link) => link.level === level && link.name === name)
    if (level === 'anonymous' || removed === undefined) {
      return refusal(
        'NOT_LINKED',
        'Cannot remove the link: the account has no such link that could be removed'
      )
    }
    const changed = { ...record, links: record.links.filter((link) => link !== removed) }
    await store.batch(
      [
        { type: 'put', key: recordKey(did), value: encode(changed) },
        { type: 'delete', key: nameKey(level, name) }
      ],
      options
    )
    // Last: a crash leaves a key that opens nothing, and never a link without its key.
    const binding = base64UrlBytes(removed.binding, maxBindingBytes)
    if (binding !== undefined) await providers.get(level)?.forget?.(did, binding, options)
    return { ok: true, record: changed }
  }

  function opened(first: AccountRecord, level: IdentityLevel): OpenAccount {
    const { did } = first
    let record = first
    async function linkProven(
      to: IdentityLevel,
      proof: IdentityProof,
      options: CallOptions
    ): Promise<{ ok: true; record: AccountRecord } | AccountRefusal> {
      const id = proof.statement === undefined ? undefined : encodeBase64Url(proof.statement)
      const asked = await pending.take(id, options)
      if (
        asked === undefined ||
        proof.purpose !== 'link' ||
        proof.account !== did ||
        asked['account'] !== did ||
        asked['level'] !== to
      ) {
        return refusal('PROOF_INVALID', 'Cannot link it: the proof is for something else')
      }
      const spent = await useUp(proof.statement as Uint8Array, options)
      return spent ?? inTurn(() => add(did, proof, asked['statement'] as string, options))
    }
    return {
      get record() {
        return record
      },
      level,
      data: prefixedStore(store, `identity/account/data/${did}/`),
      async beginLink(to, statement, name, options = {}) {
        const provider = to === 'anonymous' ? undefined : providers.get(to)
        if (provider === undefined) return noLevel
        const hash = await statementHash(statement, { account: did, audience, level: to, now: clock.now() })
        if (hash === undefined) {
          return refusal('STATEMENT_INVALID', 'Cannot link it: the account has not signed for it just now')
        }
        const request = {
          purpose: 'link',
          account: did,
          statement: hash,
          ...(name === undefined ? {} : { name })
        } as const
        const begun = await provider.begin(request, options)
        if (!begun.ok) return begun
        const id = encodeBase64Url(hash)
        // The last ceremony for a statement counts.
        await pending.take(id, options)
        const kept = await pending.begin({ statement, level: to, account: did }, options, id)
        return kept === undefined
          ? refusal('TOO_MANY', 'Cannot link it: too many are at it. Try again later')
          : begun
      },
      async link(to, ceremony, answer, options = {}) {
        const provider = providers.get(to)
        if (provider === undefined) return noLevel
        const proof = await provider.finish(ceremony, answer, options)
        if (!proof.ok) return proof
        const outcome = await linkProven(to, proof, options)
        if (outcome.ok) record = outcome.record
        else await inTurn(() => letGo(did, proof, options))
        return outcome
      },
      async unlink(from, name, statement, options = {}) {
        const asked = { account: did, audience, level: from, unlink: name, now: clock.now() }
        const hash = await statementHash(statement, asked)
        if (hash === undefined) {
          return refusal(
            'STATEMENT_INVALID',
            'Cannot remove the link: the account has not signed for it just now'
          )
        }
        const spent = await useUp(hash, options)
        if (spent !== undefined) return spent
        const outcome = await inTurn(() => remove(did, from, name, options))
        if (outcome.ok) record = outcome.record
        return outcome
      }
    }
  }

  return {
    async begin(level, name, options = {}) {
      const provider = providers.get(level)
      if (provider === undefined) return noLevel
      return provider.begin({ purpose: 'enter', ...(name === undefined ? {} : { name }) }, options)
    },
    async enter(level, ceremony, answer, options = {}) {
      const provider = providers.get(level)
      if (provider === undefined) return noLevel
      const proof = await provider.finish(ceremony, answer, options)
      if (!proof.ok) return proof
      if (proof.purpose !== 'enter')
        return refusal('PROOF_INVALID', 'Cannot come in so: the proof is for a link')
      const record = await inTurn(() => find(proof, options))
      return 'code' in record ? record : { ok: true, account: opened(record, level) }
    }
  }
}

function linkOf(proof: IdentityProof, statement: string, at: number): AccountLink {
  return { level: proof.level, name: proof.name, at, statement, binding: encodeBase64Url(proof.binding) }
}
