import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { shardError } from '../errors.ts'
import { knownBuilds } from './constants.ts'

const platforms: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64'
}

/** Why this backend cannot be had, and what helps. */
export function unavailable(why: string, cause?: unknown): Error {
  const version = knownBuilds[0]?.packageVersion
  const name = platforms[`${process.platform}-${process.arch}`]
  const install = name === undefined ? '' : `install koffi and @node-llama-cpp/${name}@${version}, or `
  return shardError(
    'ERR_BACKEND_UNAVAILABLE',
    `The ggml backend is not available: ${why}. What helps: ${install}use the slow reference backend (--backend reference)`,
    { cause, details: { why } }
  )
}

/**
 * The folder with ggml's libraries, from the package of this platform.
 *
 * @throws A KwaaiError `ERR_BACKEND_UNAVAILABLE` when it is not installed or of another version.
 */
export async function findLibraries(): Promise<string> {
  const name = platforms[`${process.platform}-${process.arch}`]
  if (name === undefined)
    throw unavailable(`there are no libraries for ${process.platform} on ${process.arch}`)
  const packageName = `@node-llama-cpp/${name}`
  try {
    createRequire(import.meta.url).resolve('koffi')
  } catch (cause) {
    throw unavailable('the package koffi is not installed', cause)
  }
  let bins: { binsDir: string; packageVersion: string }
  try {
    const module = (await import(packageName)) as { getBinsDir(): typeof bins }
    bins = module.getBinsDir()
  } catch (cause) {
    throw unavailable(`the package ${packageName} cannot be loaded`, cause)
  }
  const { binsDir, packageVersion } = bins
  if (!knownBuilds.some((build) => build.packageVersion === packageVersion))
    throw unavailable(`${packageName} ${packageVersion} is installed, which this version was not tested with`)
  try {
    const folder = readdirSync(binsDir).find((entry) => entry.startsWith(name))
    if (folder !== undefined) return join(binsDir, folder)
  } catch (cause) {
    throw unavailable(`${binsDir} cannot be read`, cause)
  }
  throw unavailable(`${packageName} holds no libraries`)
}
