/**
 * Errors without a stack, which would tell of nothing but the runtime, and costs more to make than a handshake.
 *
 * @internal
 */

/** What is made in it has no stack. It does not wait for anything. */
export const traceless = <A>(make: () => A): A => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
