/**
 * Language models split over many machines. What there is stands behind doors of its own: `./gguf` reads model
 * files, `./reference` and `./ggml` run blocks, `./session` carries residuals from machine to machine, `./route`
 * finds a chain, `./generate` makes text, `./grammar` holds it to schemas.
 *
 * @packageDocumentation
 */
export { shardErrors, type ShardErrorCode } from './errors.ts'
