/**
 * What a process that runs TypeScript has to compile before it begins takes longer than most of what tests want of it. Node
 * keeps it from one process to the next.
 */
import { fileURLToPath } from "node:url"

export const compileCache = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL("../../.cache/compile", import.meta.url))
}
