/**
 * What `conform` does: holds a server to a dialogue, and tells how it went.
 *
 * @internal
 */
import * as Console from "effect/Console"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Socket from "effect/socket/Socket"
import * as Conform from "../internal/dialogue/conform.ts"
import type { Spec } from "../internal/dialogue/spec.ts"
import * as Net from "../node/Net.ts"
import * as Tls from "../protocols/Tls.ts"
import type { GivenFlags } from "./dialogueFlags.ts"
import * as Flags from "./flags.ts"
import * as Given from "./given.ts"
import * as Hints from "./hints.ts"
import * as Modules from "./modules.ts"
import * as Probing from "./probing.ts"
import * as TlsFlags from "./tls.ts"
import * as Told from "./told.ts"

interface ConformFlags extends GivenFlags, Omit<TlsFlags.ClientFlags, "alpn"> {
  readonly runs: number
  readonly timeout: Duration.Duration
  readonly patience: Duration.Duration
  readonly json: boolean
}

const targetOf = Effect.fnUntraced(function*(url: string) {
  const cannot = (problem: string) =>
    Flags.failing(`cannot talk to ${JSON.stringify(Flags.masked(url))}: ${problem}`, Flags.usage)
  if (!/^(?:tcp|tls):\/\//i.test(url)) return yield* cannot("it looks like tcp://HOST:PORT or tls://HOST[:443]")
  const target = Probing.parseTarget(url)
  return Result.isSuccess(target) ? target.success : yield* cannot(target.failure)
})

const times = (n: number): string => n === 0 ? "never" : n === 1 ? "once" : `${n} times`

/** The columns of a table, each as wide as its widest cell. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]!.length))) ?? []
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd())
}

/** Whether it was seen to do what is specified: it was ready once, and nothing else came. */
const isConforming = ({ failure, ready }: Conform.Report): boolean => failure === undefined && ready > 0

/** The conversation in which it has not done what is specified, with what was due and what came. */
const parting = ({ came, conversation, due, said, state, undue }: Conform.Failure): ReadonlyArray<string> => [
  `conversation ${conversation}:`,
  ...table([
    ...said.map(({ by, fields, message, state }) => [state, by, Told.message(message, fields)]),
    ...undue === undefined ? [] : [[state, "client", `${Told.message(undue.message, undue.fields)}, which is not due`]]
  ]).map((line) => `  ${line}`),
  `  due: ${due}`,
  `  came: ${came}`
]

const told = (report: Conform.Report, at: string): ReadonlyArray<string> => {
  const { conversations, failure, ready, stopped, transitions, undue } = report
  const reached = transitions.filter(({ times }) => times > 0).length
  const verdict = failure !== undefined ? "does not conform" : ready > 0 ? "conforms" : "never ready"
  return [
    ...table(transitions.map(({ by, message, state, times: n, to }) => [state, by, message, `-> ${to}`, times(n)])),
    "",
    ...undue.refused === 0 ? [] : [`messages that were not due, and were refused: ${undue.refused}`],
    ...undue.untried === 0
      ? []
      : [
        "messages that were not tried, for nobody could tell them from what is due, or the server led elsewhere: " +
        undue.untried
      ],
    ...stopped === undefined ? [] : [`no further ${stopped}`],
    ...failure === undefined ? [] : ["", ...parting(failure)],
    "",
    `${verdict}: ${at}, ${reached} of ${transitions.length} transitions in ${conversations} conversations`
  ]
}

/** A field that the server makes anew for each connection, and has said: nobody can tell beforehand what it has to be answered with. */
const freshIn = ({ wire }: Spec, { transitions }: Conform.Report): string | undefined => {
  for (const { by, message, times } of transitions) {
    const field = by === "server" && times > 0 ? wire.fields.get(message)?.fresh[0] : undefined
    if (field !== undefined) return `${message}.${field}`
  }
}

const hintFor = (spec: Spec, report: Conform.Report): string | undefined => {
  const { failure, ready, stopped } = report
  if (failure !== undefined) {
    return Hints.hint(failure.error, { protocol: "tls", query: new URLSearchParams(), hasPassword: false })
  }
  if (ready > 0 || stopped !== undefined) return undefined
  const given = "what the server wants to see is said with --set MESSAGE.FIELD=VALUE or --values FILE"
  const fresh = freshIn(spec, report)
  return fresh === undefined
    ? given
    : `${given}; what has to be computed from ${fresh}, which is fresh, cannot be said here: ` +
      "Laws.dialogue holds such a server to it, with a client of yours"
}

const json = (report: Conform.Report, protocol: string, peer: string, seed: number) => {
  const { failure, ...rest } = report
  return {
    protocol,
    peer,
    seed,
    conforms: isConforming(report),
    ...rest,
    stopped: rest.stopped ?? null,
    failure: failure === undefined ? null : {
      conversation: failure.conversation,
      said: failure.said.map((taken) => ({ ...taken, fields: Told.plain(taken.fields) })),
      undue: failure.undue === undefined
        ? null
        : { message: failure.undue.message, fields: Told.plain(failure.undue.fields) },
      state: failure.state,
      due: failure.due,
      came: failure.came
    }
  }
}

/** Holds a server to a dialogue, tells how it went, and ends with the exit code for it. */
export const conform = Effect.fnUntraced(function*(module: string, url: string, flags: ConformFlags) {
  const { address, host, port, url: parsed } = yield* targetOf(url)
  const { dialogue } = yield* Modules.load(module)
  const given = yield* Given.read(dialogue, flags)
  const seed = yield* Given.seedOf(flags)
  const tls = yield* TlsFlags.clientOptions(flags, host)
  const peer = `${NetAddress.formatUrlHostString(address)}:${port}`
  const report = yield* Conform.conform(dialogue, {
    given,
    runs: flags.runs,
    within: flags.timeout,
    patience: flags.patience,
    tls: { ...tls, role: "client" },
    inside: parsed.protocol === "tls:" ? Tls.client(tls) : undefined
  }).pipe(
    Effect.provideService(Socket.Socket, yield* Net.socket({ host: address, port })),
    Random.withSeed(seed),
    Effect.catch(({ reason }) => Flags.failing(`no connection to ${peer}: ${reason.message}`, 5))
  )
  if (flags.json) yield* Console.log(JSON.stringify(json(report, dialogue.name, peer, seed)))
  else {
    for (const line of told(report, `${dialogue.name} at ${peer}`)) yield* Console.log(line)
    yield* Console.log(`seed: ${seed}`)
    const hint = hintFor(dialogue, report)
    if (hint !== undefined) yield* Console.log(`hint: ${hint}`)
  }
  if (!isConforming(report)) return yield* new Flags.Exited({ code: 1 })
})
