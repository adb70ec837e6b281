import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { Sequence } from "./test/support/sequence.ts"
import { Tally } from "./test/support/tally.ts"

const src = fileURLToPath(new URL("src", import.meta.url))

// What runs TypeScript is started many times, and compiling it takes longer than most of what tests want of it.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL(".cache/compile", import.meta.url))

export default defineConfig({
  resolve: {
    // Tests and documentation import the package by its name, and get the sources.
    alias: [
      { find: /^effect-handshake$/, replacement: `${src}/index.ts` },
      { find: /^effect-handshake\/(.+)$/, replacement: `${src}/$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Where there are two cores Vitest would leave one of them idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: Sequence },
    reporters: ["default", new Tally()]
  }
})
