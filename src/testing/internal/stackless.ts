/**
 * Laws provoke failures by the thousand, and most of what one costs is its stack, which nobody sees: what is reported is
 * what failed, in words.
 *
 * @internal
 */

/** Runs something in which errors are made without their stacks. What it throws itself has one: it is run again for that. */
export const stackless = <A>(run: () => A): A => {
  const { stackTraceLimit } = Error
  if (stackTraceLimit === 0) return run()
  Error.stackTraceLimit = 0
  try {
    return run()
  } catch (cause) {
    Error.stackTraceLimit = stackTraceLimit
    run()
    throw cause
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** The same for what throws nothing itself: what fails in it does so in fibers of its own. */
export const withoutStacks = <A>(run: () => A): A => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
