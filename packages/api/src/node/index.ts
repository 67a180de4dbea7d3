/**
 * The API behind an HTTP server, for Node.js.
 *
 * @packageDocumentation
 */
export { serveApi, type ApiServer, type ServeApiOptions } from './serve.ts'
