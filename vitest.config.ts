import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { LongFirst } from "./test/support/sequencer.ts"
import { Tally } from "./test/support/tally.ts"

// What runs TypeScript is started many times, and compiling it takes longer than most of what tests want of it.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL(".cache/compile", import.meta.url))

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/bundle.ts",
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Two more than there are cores, for much of what is tested waits for sockets and processes; a worker may take half a
    // gigabyte, and beyond eight the longest file is what is waited for.
    maxWorkers: Math.min(8, availableParallelism() + 2),
    // A worker loads Effect and the sources once, and not for each file again.
    isolate: false,
    // Node itself runs the sources: nothing stands between a module and what it imports. The package is imported by its
    // name, and the condition gives its sources.
    experimental: { viteModuleRunner: false },
    // Each worker would collect its garbage with more threads than there are cores for, and those wait for one another.
    execArgv: ["--conditions=handshake-source", "--no-parallel-scavenge"],
    // What runs side by side in a file are mostly processes that start, which is work for a core each.
    maxConcurrency: 3,
    sequence: { sequencer: LongFirst },
    reporters: ["default", new Tally()]
  }
})
