import { join } from 'node:path'
import { parseJson } from '@kwaai/identity'
import type { Credential } from '@kwaai/identity/vc'
import type { CallOptions } from '@kwaai/interface'
import { createFileStore } from '../store/file-store.ts'

/** What a node's own keys have signed about each other. */
export type OwnType = 'BindingCredential' | 'RotationCredential'

const maxBytes = 8 * 2 ** 20

async function withStore<T>(
  dataDir: string,
  run: (store: ReturnType<typeof createFileStore>) => Promise<T>
): Promise<T> {
  const store = createFileStore({ path: join(dataDir, 'own-credentials.log'), maxBytes })
  try {
    return await run(store)
  } finally {
    await store[Symbol.asyncDispose]()
  }
}

const subjectOf = ({ credentialSubject }: Credential): string =>
  String((credentialSubject as { id?: unknown } | undefined)?.id)

/** Keeps a binding or a rotation; a later one between the same two takes the place of an earlier one. */
export async function keepCredential(
  dataDir: string,
  type: OwnType,
  credential: Credential,
  options: CallOptions = {}
): Promise<void> {
  const key = `${type}/${String(credential.issuer)}/${subjectOf(credential)}`
  const value = new TextEncoder().encode(JSON.stringify(credential))
  await withStore(dataDir, (store) => store.put(key, value, options))
}

/** The bindings or rotations that are kept. They are not verified. */
export async function keptCredentials(
  dataDir: string,
  type: OwnType,
  options: CallOptions = {}
): Promise<Credential[]> {
  return withStore(dataDir, async (store) => {
    const found: Credential[] = []
    for await (const [, value] of store.entries({ gte: `${type}/`, lt: `${type}0`, ...options }))
      found.push(parseJson(new TextDecoder().decode(value)) as unknown as Credential)
    return found
  })
}
