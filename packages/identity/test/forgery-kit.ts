import { sha256 } from '@noble/hashes/sha2.js'
import { base64url } from 'multiformats/bases/base64'
import { createIdentity, type Identity } from '@kwaai/identity'
import {
  createStatusChecker,
  createStatusList,
  statusEntry,
  statusListCredential
} from '@kwaai/identity/status'
import {
  addProof,
  eddsaJcs2022,
  issue,
  type CheckFault,
  type CheckName,
  type Credential,
  type Proof,
  type VerifyOptions,
  type VerifyResult
} from '@kwaai/identity/vc'
import { createFakeClock } from '@kwaai/testing'

export const now = Date.UTC(2026, 0, 1)
export const seeded = (n: number): Identity => createIdentity({ seed: new Uint8Array(32).fill(n) })
export const issuer = seeded(1)
export const alice = seeded(2)
export const mallory = seeded(3)

export const v2 = 'https://www.w3.org/ns/credentials/v2'
export const examples = 'https://www.w3.org/ns/credentials/examples/v2'
export const listUrl = 'https://example.org/status/revocation'

/** What an attack starts from: a credential of the issuer about alice, with two claims. */
export const draft: Credential = {
  '@context': [v2, examples],
  type: ['VerifiableCredential', 'LibraryCard'],
  validFrom: '2025-06-01T00:00:00Z',
  validUntil: '2026-06-01T00:00:00Z',
  credentialSubject: { id: alice.did, role: 'librarian', level: 3 }
}
export const genuine = (more: Partial<Credential> = {}, by: Identity = issuer): Promise<Credential> =>
  issue({ ...draft, ...more }, by, { now })
/** The one proof of a credential. */
export const proofOf = (credential: Credential): Proof => credential.proof as Proof

/** Signs without the checks that `issue` makes. */
export async function forged(
  more: Partial<Credential>,
  by: Identity = issuer,
  options: object = {}
): Promise<Credential> {
  return (await addProof(
    { ...draft, issuer: issuer.did, ...more },
    { signer: by, suite: eddsaJcs2022, created: now, ...options }
  )) as Credential
}

export async function list(by: Identity, set: number[], purpose = 'revocation'): Promise<Credential> {
  const bits = createStatusList()
  for (const index of set) bits.set(index, 1)
  return issue(
    await statusListCredential({
      url: listUrl,
      issuer: by.did,
      purpose,
      list: bits,
      validFrom: now - 1_000,
      validUntil: now + 3_600_000
    }),
    by,
    { now }
  )
}

/** A checker of one list, and a credential on it. */
export async function withStatus(
  published: unknown,
  purpose = 'revocation'
): Promise<[Credential, VerifyOptions]> {
  const credentialStatus = statusEntry({ statusListCredential: listUrl, index: 7, purpose })
  const bytes = new TextEncoder().encode(JSON.stringify(published))
  const status = createStatusChecker(
    {},
    { fetchDocument: () => Promise.resolve({ bytes }), clock: createFakeClock({ now }) }
  )
  return [await genuine({ credentialStatus }), { status }]
}

/** A list that inflates to sixteen times what is allowed. */
export async function bomb(): Promise<string> {
  const zeros = new Blob([new Uint8Array(2 ** 20)])
  const stream = new Blob(Array.from({ length: 16 }, () => zeros))
    .stream()
    .pipeThrough(new CompressionStream('gzip'))
  return base64url.encode(new Uint8Array(await new Response(stream).arrayBuffer()))
}

/** The digest of bytes as `digestMultibase` has it. */
export function digestMultibaseOf(bytes: Uint8Array): string {
  return base64url.encode(new Uint8Array([0x12, 32, ...sha256(bytes)]))
}

/** The codes of the checks that do not hold. */
export function faults({ checks }: VerifyResult): Partial<Record<CheckName, CheckFault>> {
  return Object.fromEntries(
    checks.flatMap(({ name, required, ok, code }) => (required && !ok ? [[name, code]] : []))
  )
}
