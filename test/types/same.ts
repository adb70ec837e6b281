/**
 * Assertions for the compiler. The files beside this one are checked by `tsc` and never run: what must not compile
 * stands behind `@ts-expect-error`, which is an error itself where there is none.
 */
type IsAny<A> = 0 extends 1 & A ? true : false

/** Whether two types are assignable to each other. `any` is the same as `any` alone. */
type Same<A, B> = IsAny<A> extends true ? IsAny<B>
  : IsAny<B> extends true ? false
  : [A] extends [B] ? [B] extends [A] ? true : false
  : false

/** Compiles without an argument where the two types are the same. */
export declare const same: <Actual, Expected>(
  ..._: Same<Actual, Expected> extends true ? [] : [{ readonly actual: Actual; readonly expected: Expected }]
) => void
