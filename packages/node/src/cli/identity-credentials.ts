import type { Credential } from '@kwaai/identity/vc'
import type { CallOptions } from '@kwaai/interface'
import { openCredentials, type CredentialFolder } from '../credentials/credential-folder.ts'

/** What a node's own keys have signed about each other. */
export type OwnType = 'BindingCredential' | 'RotationCredential'

async function withFolder<T>(dataDir: string, run: (folder: CredentialFolder) => Promise<T>): Promise<T> {
  const folder = openCredentials(dataDir)
  try {
    return await run(folder)
  } finally {
    await folder.close()
  }
}

/** Keeps a binding or a rotation among the credentials of the node, where `kwaai vc` has it too. */
export async function keepCredential(
  dataDir: string,
  credential: Credential,
  options: CallOptions = {}
): Promise<void> {
  await withFolder(dataDir, (folder) => folder.keep(credential, 'issued', options))
}

/** The bindings and rotations that are kept, and how many credentials there are in all. They are not verified. */
export async function ownCredentials(
  dataDir: string,
  options: CallOptions = {}
): Promise<{ own: Record<OwnType, Credential[]>; count: number }> {
  const all = await withFolder(dataDir, (folder) => folder.list(options))
  const of = (type: OwnType): Credential[] =>
    all.map(({ credential }) => credential).filter((credential) => [credential.type].flat().includes(type))
  return {
    own: { BindingCredential: of('BindingCredential'), RotationCredential: of('RotationCredential') },
    count: all.length
  }
}
