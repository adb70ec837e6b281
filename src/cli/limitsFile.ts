/**
 * The file of `--limits`: limits by the names of their flags, written as these are, and read again on SIGHUP.
 *
 * @internal
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Admission from "../Admission.ts"
import * as Admit from "./admit.ts"
import * as Flags from "./flags.ts"
import * as HangUp from "./hangUp.ts"
import * as Limits from "./limits.ts"
import * as TlsFlags from "./tls.ts"

/** What the value of a limit may be. */
type Reads = (value: unknown) => Option.Option<Partial<Limits.Changing>>

const number = (
  least: number,
  make: (n: number) => Partial<Limits.Changing>
): readonly [what: string, reads: Reads] => [
  `a number of at least ${least}`,
  (value) => Number.isSafeInteger(value) && Number(value) >= least ? Option.some(make(Number(value))) : Option.none()
]

const text = <A>(
  what: string,
  parse: (text: string) => Option.Option<A>,
  make: (value: A) => Partial<Limits.Changing>
): readonly [what: string, reads: Reads] => [
  what,
  (value) => typeof value === "string" ? Option.map(parse(value), make) : Option.none()
]

const duration = "a duration such as 500ms, 10s or 2m"

const known: Readonly<Record<string, readonly [what: string, reads: Reads]>> = {
  "max-connections": number(0, (maxConnections) => ({ maxConnections })),
  "max-pending": number(0, (maxPending) => ({ maxPending })),
  "handshake-timeout": text(duration, Flags.parseDuration, (handshakeTimeout) => ({ handshakeTimeout })),
  "write-timeout": text(duration, Flags.parseDuration, (value) => ({ writeTimeout: Option.some(value) })),
  "admit-per-address": number(1, (n) => ({ admitPerAddress: Option.some(n) })),
  "admit-rate": text(Admit.aRate, Admit.parseRate, (rate) => ({ admitRate: Option.some(rate) })),
  "admit-failures": text(Admit.aRate, Admit.parseRate, (rate) => ({ admitFailures: Option.some(rate) })),
  "admit-pass": [
    `a list, each of it ${Admit.aNetwork}`,
    (value) =>
      Array.isArray(value)
        ? Option.map(
          Option.all(value.map((one) => typeof one === "string" ? Admit.parseNetwork(one) : Option.none())),
          (admitPass) => ({ admitPass })
        )
        : Option.none()
  ]
}

/** What a file says, or what is wrong with it. */
export const parse = (content: string): Result.Result<Partial<Limits.Changing>, string> => {
  let parsed: unknown
  try {
    parsed = JSON.parse(content)
  } catch {
    return Result.fail("it is no JSON")
  }
  if (!Predicate.isObject(parsed) || Array.isArray(parsed)) {
    return Result.fail("it has to look like {\"max-connections\": 1000}")
  }
  const limits: Partial<Limits.Changing> = {}
  for (const [name, value] of Object.entries(parsed)) {
    if (!Object.hasOwn(known, name)) {
      return Result.fail(`there is no limit ${name}; there are ${Object.keys(known).join(", ")}`)
    }
    const [what, reads] = known[name]
    const read = reads(value)
    if (Option.isNone(read)) return Result.fail(`${name}: ${what}, not ${JSON.stringify(value)}`)
    Object.assign(limits, read.value)
  }
  return Result.succeed(limits)
}

/** As `told` of `limits`, for a server that has such a file. */
export const told = Effect.fnUntraced(function*<O extends Limits.Options>(
  options: O,
  path: string,
  readAgain: Flags.Later
): Effect.fn.Return<Limits.Told<O>, Flags.Exited, FileSystem.FileSystem | Scope.Scope> {
  // sysexits.h: EX_NOINPUT
  const unusable = (problem: string) => Flags.failing(`cannot use ${path}: ${problem}`, 66)
  const read = Effect.gen(function*() {
    const said = parse(yield* TlsFlags.read(path))
    if (Result.isFailure(said)) return yield* unusable(said.failure)
    const now: O = { ...options, ...said.success }
    const problem = Limits.problemOf(now, options)
    return problem === undefined ? now : yield* unusable(problem)
  })
  const first = yield* read
  const limits = yield* SubscriptionRef.make(Limits.limitsOf(first, options))
  const admission = yield* SubscriptionRef.make(Admit.optionsOf(Admission, first))
  yield* HangUp.onHangUp(Effect.matchEffect(read, {
    // It was said why.
    onFailure: () => Console.error("the limits stay what they were"),
    onSuccess: Effect.fnUntraced(function*(now) {
      yield* SubscriptionRef.set(limits, Limits.limitsOf(now, options))
      yield* SubscriptionRef.set(admission, Admit.optionsOf(Admission, now))
      yield* readAgain.on
      if (!Flags.isWorker) yield* Console.log("limits read again")
    })
  }))
  return {
    options: first,
    settings: { limits, drainTimeout: options.drainTimeout, admission: Admission.make(admission) }
  }
})
