#!/usr/bin/env -S node --conditions=kwaai:source
import { enableCompileCache } from 'node:module'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`kwaai needs Node.js 22.18 or newer to run from its sources; this is ${process.version}.`)
  process.exit(1)
}
enableCompileCache()
await import('../src/bin.ts')
