// Drives iceberg-js: reads {options, calls} as JSON, makes the calls one after the other, writes what came of each as JSON.
// `node iceberg_js.mjs MODULE` names where the client is installed.

import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const { IcebergError, IcebergRestCatalog } = await import(pathToFileURL(process.argv[2]).href)

const { options, calls } = JSON.parse(readFileSync(0, 'utf8'))
const catalog = new IcebergRestCatalog(options)

async function outcome([method, ...parameters]) {
  try {
    return { value: (await catalog[method](...parameters)) ?? null }
  } catch (error) {
    if (!(error instanceof IcebergError)) throw error
    const { message, status, icebergType, icebergCode } = error
    return { error: { message, status, type: icebergType, code: icebergCode, conflict: error.isConflict() } }
  }
}

const outcomes = []
for (const call of calls) outcomes.push(await outcome(call))
process.stdout.write(JSON.stringify(outcomes))
