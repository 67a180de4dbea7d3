// What the tests and benchmarks use besides of packages that ship no types.

declare module '@digitalbazaar/eddsa-jcs-2022-cryptosuite' {
  export function createSignCryptosuite(): unknown
  export function createVerifyCryptosuite(): unknown
}

declare module '@digitalbazaar/ed25519-multikey' {
  interface KeyPair {
    id: string
    signer(): { id: string; algorithm: string; sign(options: { data: Uint8Array }): Promise<Uint8Array> }
  }
  export function from(key: Record<string, unknown>): Promise<KeyPair>
  export function generate(init: { id: string; controller: string; seed: Uint8Array }): Promise<KeyPair>
}

declare module '@digitalbazaar/did-method-key' {
  export function driver(): {
    use(options: { multibaseMultikeyHeader: string; fromMultibase: unknown }): void
    get(options: { did?: string; url?: string }): Promise<Record<string, unknown>>
  }
}

declare module '@digitalbazaar/credentials-context' {
  export const contexts: ReadonlyMap<string, unknown>
}

declare module '@digitalbazaar/data-integrity-context' {
  export const contexts: ReadonlyMap<string, unknown>
}

declare module '@digitalbazaar/multikey-context' {
  export const contexts: ReadonlyMap<string, unknown>
}

declare module 'did-context' {
  export const contexts: ReadonlyMap<string, unknown>
}
