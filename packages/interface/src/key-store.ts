import type { CallOptions } from './common.ts'

/** What a write of a secret may do. */
export interface PutSecretOptions extends CallOptions {
  /** Takes the place of a secret that stands under the name. Default false: the call is refused. */
  replace?: boolean
}

/**
 * Named secrets, a handful of them: keys, not data. Names are up to 64 lower-case letters and digits in groups that
 * one of `.`, `_` or `-` joins. Bytes are copied in and out. What stands under a name changes at once or not at all.
 */
export interface KeyStore {
  readonly specification: 'kwaai.key-store/1'
  /** Largest secret it takes, in bytes; the smallest has one. */
  readonly maxSecretBytes: number
  /** The secret under a name, or `undefined` where there is none. */
  get(name: string, options?: CallOptions): Promise<Uint8Array | undefined>
  /**
   * Keeps a secret.
   *
   * @throws A KwaaiError `ERR_IDENTITY_KEY_EXISTS` where another stands under the name and `replace` is not set;
   * of two that come at once one wins. `ERR_IDENTITY_INVALID_KEY_NAME` and `ERR_IDENTITY_SECRET_SIZE` for what is
   * outside of the limits.
   */
  put(name: string, secret: Uint8Array, options?: PutSecretOptions): Promise<void>
  /** Takes a secret away, if there is one. */
  delete(name: string, options?: CallOptions): Promise<void>
  /** All names, in the order of their characters. */
  list(options?: CallOptions): Promise<string[]>
}
