import type { Reporter, SerializedError, TestModule, TestRunEndReason } from "vitest/node"

/**
 * Closes the output with one line of plain counts, so that a script can tell whether tests ran, and how they went.
 */
export class Tally implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<SerializedError>, reason: TestRunEndReason) {
    // A file that doesn't load has no tests to count, and an error outside any test belongs to none: both are failures.
    const counts = { passed: 0, failed: errors.length, skipped: 0, pending: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) counts[test.result().state]++
      counts.failed += module.errors().length
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
    }
    // Interrupted: what never ran didn't pass.
    counts.failed += counts.pending
    if (reason !== "passed" && counts.failed === 0) counts.failed = 1
    process.stdout.write(`\ntests: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
  }
}
