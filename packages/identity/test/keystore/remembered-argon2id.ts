import { platformArgon2id, type Argon2id } from '../../src/keystore/index.ts'

/**
 * Argon2id that computes nothing twice: the true bytes under the true costs, once for each passphrase, salt and cost
 * that a test uses. So a test can open a secret ten thousand times, and no weaker derivation is ever let in.
 */
export function rememberedArgon2id(
  argon2id: Argon2id = platformArgon2id
): Argon2id & { derivations(): number } {
  const known = new Map<string, Promise<Uint8Array>>()
  const derive: Argon2id = async (input, options) => {
    const key = JSON.stringify(
      Object.entries(input).map(([name, value]) => [name, [value].flat().toString()])
    )
    let bytes = known.get(key)
    if (bytes === undefined) {
      bytes = argon2id({ ...input, passphrase: input.passphrase.slice() }, options)
      known.set(key, bytes)
    }
    return (await bytes).slice()
  }
  return Object.assign(derive, { derivations: () => known.size })
}
