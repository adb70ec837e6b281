/**
 * Runs the modules that it is given in one process, each when the one before has come to its end by itself: when there is
 * nothing left in the process that could still happen.
 */
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"

const files = process.argv.slice(2)
let awaits = false

process.on("beforeExit", (code) => {
  // What Node says of a program that awaits what never comes.
  if (awaits) process.exit(13)
  const file = files.shift()
  if (file === undefined || code !== 0) return
  process.stdout.write(`\f${file}\n`)
  awaits = true
  void import(pathToFileURL(resolve(file)).href).then(() => (awaits = false))
  // Where nothing is left at once, there is no other `beforeExit`.
  setImmediate(() => {})
})
