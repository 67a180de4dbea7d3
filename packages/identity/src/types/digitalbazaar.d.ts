// What this package uses of packages that ship no types. Nothing of it may stand in an exported signature.

declare module '@digitalbazaar/eddsa-rdfc-2022-cryptosuite' {
  interface Canonize {
    (
      input: unknown,
      options: {
        documentLoader: (url: string) => Promise<unknown>
        safe: true
        base: null
        maxDeepIterations: number
        signal?: AbortSignal
      }
    ): Promise<string>
  }
  export const cryptosuite: { name: string; canonize: Canonize }
}

declare module '@digitalbazaar/data-integrity' {
  export const DataIntegrityProof: new (options: {
    signer?: unknown
    date?: unknown
    cryptosuite: unknown
  }) => object
}

declare module '@digitalbazaar/vc' {
  export function defaultDocumentLoader(url: string): Promise<unknown>
  interface ProofResults {
    verified: boolean
    error?: unknown
    results?: readonly {
      verified: boolean
      error?: unknown
      purposeResult?: { valid: boolean }
    }[]
  }
  export function verifyCredential(options: Record<string, unknown>): Promise<ProofResults>
  export function verify(
    options: Record<string, unknown>
  ): Promise<{ verified: boolean; error?: unknown; presentationResult?: ProofResults }>
  export function issue(options: Record<string, unknown>): Promise<Record<string, unknown>>
  export function signPresentation(options: Record<string, unknown>): Promise<Record<string, unknown>>
  export function createPresentation(options: Record<string, unknown>): Record<string, unknown>
}
