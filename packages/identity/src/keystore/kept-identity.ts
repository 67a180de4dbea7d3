import type { CallOptions, KeyStore } from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import { ERR_IDENTITY_KEY_EXISTS } from '../errors.ts'
import { createIdentity, type Identity, type IdentityComponents } from '../identity.ts'
import { seedFromProtobuf, seedToProtobuf } from '../key-protobuf.ts'

/** Which identity of a store is meant. */
export interface KeepIdentityInit {
  /** Default `identity`. */
  name?: string
}

/** What a kept identity needs. */
export interface KeepIdentityComponents extends IdentityComponents {
  store: KeyStore
}

/**
 * The identity a store keeps under a name: made at the first call, the same ever after. What is kept is a libp2p
 * private key (protobuf, 68 bytes). A key that cannot be read is never replaced.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` where something else stands there, and whatever the store says.
 */
export async function keepIdentity(
  init: KeepIdentityInit,
  components: KeepIdentityComponents,
  options: CallOptions = {}
): Promise<Identity> {
  const { name = 'identity' } = init
  const { store } = components
  const read = async (): Promise<Identity | undefined> => {
    const kept = await store.get(name, options)
    return kept === undefined ? undefined : createIdentity({ seed: seedFromProtobuf(kept) })
  }
  const standing = await read()
  if (standing !== undefined) return standing
  const made = createIdentity({}, components)
  try {
    await store.put(name, seedToProtobuf(made.exportSeed()), options)
    return made
  } catch (error) {
    // Somebody else was first, and both have one identity.
    const first = KwaaiError.is(error, ERR_IDENTITY_KEY_EXISTS) ? await read() : undefined
    if (first === undefined) throw error
    return first
  }
}
