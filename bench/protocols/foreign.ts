/**
 * Packages that may not be there: they are looked for by name, so that nothing here fails to compile without them.
 */
import { existsSync } from "node:fs"
import { createRequire } from "node:module"

/** Whether a package can be imported from here. */
export const isInstalled = (name: string): boolean =>
  createRequire(import.meta.url).resolve.paths(name)?.some((folder) => existsSync(`${folder}/${name}/package.json`)) ===
    true

/** What is used of a package, in its own words; `A` is as its documentation has it. */
export const load = async <A>(name: string): Promise<A> => await import(name) as A
