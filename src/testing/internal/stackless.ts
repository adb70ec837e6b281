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
