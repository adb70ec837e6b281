/**
 * One conversation of a handshake that is under test with its peer, as a law wants it to go.
 *
 * Between the two stands a driver. It hands on what they say, and does to it what the plan says: cuts it, holds it, says
 * something else, ends the connection. So the peer may be anything that speaks over a `Socket`.
 *
 *     side under test <- socket of the rung -> driver <- socket in memory -> its peer
 *
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Socket from "effect/socket/Socket"
import { concat } from "../../internal/bytes/primitives.ts"
import * as Transcript from "../../Transcript.ts"
import type * as Transport from "../../Transport.ts"
import type * as Rung from "../Rung.ts"
import { cutInto } from "./countingBuffer.ts"
import * as Direct from "./direct.ts"
import { Opposite } from "./opposite.ts"
import { CurrentTimers } from "./simulation.ts"
import { listenAt, nearOf, Speech, type Wait } from "./speech.ts"
import { Subject, unanswered } from "./subject.ts"
import { otherRole, type Peer, type Plan, type Side, type Talk } from "./talk.ts"
import * as Turns from "./turns.ts"

/** How long anybody may take, in the time of the rung, before he is taken to wait for ever. */
const patience = (rung: Rung.Rung): number => rung.time === "virtual" ? 3_600_000 : 4000

/** How long nobody may have anything to say before the conversation is taken to be over. */
const quietTime = (rung: Rung.Rung, { delay = 0, pace, pause = 0 }: Plan): number =>
  rung.time === "virtual" ? patience(rung) : 160 + delay + (pace?.millis ?? 0) + pause

/** In how many parts it is waited for: a process that was held up gets to its sockets between them. */
const quietParts = ({ time }: Rung.Rung): number => time === "virtual" ? 1 : 8

const within = <A, E>(effect: Effect.Effect<A, E>, millis: number) => Effect.timeoutOption(effect, millis)

/** Waits for a fiber, and so long at most. Most are done by then. */
const ending = (fiber: Fiber.Fiber<unknown, unknown>, millis: number): Effect.Effect<unknown> =>
  fiber.pollUnsafe() === undefined ? within(Fiber.await(fiber), millis) : Effect.void

/** Runs somebody beside the conversation, which waits for his end as long as for anything else: he may never come to it. */
const beside = <A, E, R>(effect: Effect.Effect<A, E, R>, millis: number) =>
  Effect.tap(
    Effect.forkDetach(effect, { startImmediately: true }),
    (fiber) =>
      Effect.addFinalizer(() =>
        Effect.suspend(() => {
          fiber.interruptUnsafe()
          return ending(fiber, millis)
        })
      )
  )

/**
 * Has the conversation. It always ends, and leaves nothing open that can be closed.
 */
export const converse = (
  rung: Rung.Rung,
  side: Side,
  peer: Peer,
  plan: Plan
): Effect.Effect<Talk, unknown> =>
  Effect.scoped(Effect.gen(function*() {
    const { role } = side
    const clock = yield* Clock.Clock
    const { after } = yield* CurrentTimers
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const start = clock.currentTimeMillisUnsafe()
    const workedBefore = Turns.worked() ?? 0
    const now = () => clock.currentTimeMillisUnsafe() - start
    const recorder = yield* Transcript.recorder
    const heard: Array<Uint8Array> = []
    const writesBefore: Array<number> = []
    const said: Array<Uint8Array> = []
    const toldIn: Array<string> = []
    const receivedIn: Array<{ readonly step: string; readonly end: number }> = []
    let isEndHeard = false
    let told = 0
    let isTelling = false
    let stoppedAt: number | undefined
    let stoppedIn: string | undefined
    let leftAt = 0

    // What ends the speech calls for it: a fiber for each to wait for would be most of what a conversation costs.
    const allSaid = Deferred.makeUnsafe<void>()
    const finish = () => Deferred.doneUnsafe(allSaid, Exit.void)
    const cancels: Array<() => void> = []
    const later = (millis: number, act: () => void): void => {
      cancels.push(after(millis, act))
    }
    const over = () => {
      for (const cancel of cancels) cancel()
    }
    yield* Effect.addFinalizer(() => Effect.sync(over))
    // Whoever waits until it is told: to look again and again would take an hour of ticks where nobody reads any more.
    let whenTold: (() => void) | undefined
    let whenAllHeard: (() => void) | undefined
    const whenShaken = () => {
      if (plan.behind !== undefined || subject.exit === undefined || opposite.exit === undefined) return
      later(rung.lag, function toldAll() {
        if (!isTelling) return finish()
        whenTold = () => later(rung.lag, toldAll)
      })
    }
    const subject = new Subject(side, plan, rung.isFast === true, now, whenShaken)
    const opposite = new Opposite(whenShaken)

    // What is read behind the handshake only to see that it is there is no part of the conversation.
    const observer: Transport.Observer = (event) => {
      if (subject.exit === undefined || plan.behind !== undefined) recorder.observer(event)
      if (subject.exit === undefined && event._tag === "Received") {
        receivedIn.push({ step: subject.steps.step, end: (receivedIn.at(-1)?.end ?? 0) + event.length })
      }
    }
    const begin = (socket: Effect.Effect<Socket.Socket>) =>
      beside(Effect.exit(subject.play(socket, observer)), patience(rung))

    const stopped = (): void => {
      stoppedAt = now()
      stoppedIn = subject.steps.step
    }

    const interrupt = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown>) {
      yield* Effect.sleep(rung.lag)
      stopped()
      yield* Effect.forkScoped(Fiber.interrupt(fiber), { startImmediately: true })
    })

    const dialInVain = Effect.gen(function*() {
      const fiber = yield* begin(Effect.succeed(unanswered(plan.dial === "refuse")))
      if (plan.dial === "interrupt") yield* interrupt(fiber)
      yield* within(Fiber.await(fiber), patience(rung))
      return fiber
    })

    const speak = Effect.gen(function*() {
      const link = yield* rung.connect(plan.seed ?? 0)
      // A server is there only when its client has dialled.
      const dialled = link[otherRole(role)]
      const joined = Exit.isExit(dialled)
        ? dialled
        : Fiber.join(yield* Effect.forkScoped(dialled, { startImmediately: true }))
      const fiber = yield* begin(link[role])
      const socket = yield* joined
      const near = yield* nearOf(socket)
      // What is done to a connection before it is accepted is done to nobody.
      yield* link.server
      yield* Deferred.await(subject.begun)
      // It goes on to its first step.
      yield* Effect.yieldNow

      const [far, there] = Direct.ends()
      yield* Effect.addFinalizer(() => Effect.sync(() => far.endWrite(1000)))
      if (plan.script === undefined) {
        // It has a deadline of its own, which begins when it comes.
        const played = opposite.play(plan.peer ?? peer, there.socket, plan)
        yield* beside(plan.delay === undefined ? played : Effect.delay(played, plan.delay), patience(rung))
      }

      const listening = near.listen((chunk) => {
        heard.push(chunk)
        // What the side says last is heard even where its peer has gone.
        far.put([chunk])
      }, () => {
        isEndHeard = true
        // The peer hears the end too.
        far.endWrite(1000)
        whenAllHeard?.()
      })
      if (plan.deaf === undefined) yield* listening
      else yield* Effect.forkScoped(Effect.delay(listening, plan.deaf), { startImmediately: true })

      // Says some bytes, as far as the plan lets it; false where that was the last of them.
      function* tell(bytes: Uint8Array): Generator<Wait, boolean> {
        const left = plan.stop === undefined ? Infinity : plan.stop.after - told
        isTelling = true
        if (plan.pause !== undefined) yield plan.pause
        const words = bytes.subarray(0, left)
        for (const piece of plan.lengths === undefined ? [words] : cutInto(words, plan.lengths)) {
          if (plan.hushes === true && subject.exit !== undefined) return false
          if (plan.pace !== undefined && told >= (plan.pace.from ?? 0)) yield plan.pace.millis
          const writing = near.write(piece)
          if (writing !== undefined) yield writing
          told += piece.length
          // Real sockets join what is written in one go.
          if (rung.time === "real" && plan.lengths !== undefined) yield Effect.yieldNow
        }
        isTelling = false
        const whoWaits = whenTold
        whenTold = undefined
        whoWaits?.()
        return plan.stop === undefined || told < plan.stop.after
      }

      let isStopped = false
      const stop = () => {
        isStopped = true
        finish()
      }
      const came: Array<Uint8Array> = []
      let isPeerOver = false
      function* saying(): Generator<Wait, void> {
        if (plan.delay !== undefined) yield plan.delay
        if (plan.stop?.after === 0) stop()
        if (plan.script !== undefined) {
          if (!isStopped) yield* tell(plan.script)
          return
        }
        for (;;) {
          const chunk = came.shift()
          if (chunk === undefined) {
            if (isPeerOver) return
            yield "more"
            continue
          }
          for (const message of opposite.take(chunk)) {
            const index = opposite.messages.push(message) - 1
            // What the peer says behind the stop is said to nobody.
            if (isStopped) continue
            writesBefore.push(subject.tap?.written.length ?? 0)
            toldIn.push(subject.steps.step)
            const wait = plan.wait?.(index) ?? 0
            if (wait > 0) yield wait
            const instead = plan.say === undefined ? message : plan.say(index, message)
            said.push(instead)
            const goesOn = yield* tell(instead)
            if (!goesOn) stop()
          }
        }
      }

      // All is said when the plan stops it, when the script or the peer is at its end, when the side under test is done, or
      // both handshakes where nothing is behind them, or when nobody has had anything to say for a while.
      const speech = new Speech(saying(), after, fork, finish)
      cancels.push(() => speech.stop())
      listenAt(far, (chunk) => {
        came.push(chunk)
        speech.more()
      }, () => {
        isPeerOver = true
        speech.more()
      })
      speech.go()
      fiber.addObserver(finish)
      const most = quietParts(rung)
      const part = quietTime(rung, plan) / most
      let before = -1
      let parts = 0
      later(part, function quiet() {
        if (told + heard.length !== before) parts = 0
        before = told + heard.length
        parts++
        if (parts < most) later(part, quiet)
        else finish()
      })
      yield* Deferred.await(allSaid)

      if (plan.stop !== undefined && told >= plan.stop.after) {
        switch (plan.stop.how) {
          case "end":
            stopped()
            yield* near.end
            break
          case "reset":
            stopped()
            yield* near.reset
            break
          case "interrupt":
            yield* interrupt(fiber)
            break
          case "stall":
            stopped()
        }
      } else {
        if (plan.later !== undefined) {
          yield* Effect.sleep(plan.later.after)
          const writing = near.write(plan.later.say)
          if (writing !== undefined) yield* within(Effect.ignore(writing), patience(rung))
        }
        yield* near.end
      }
      leftAt = now()
      yield* ending(fiber, patience(rung))
      if (plan.peerBehind !== undefined) yield* within(Deferred.await(opposite.isDone), 2 * rung.lag)
      // Its last words are on their way still.
      if (!isEndHeard) {
        yield* Effect.callback<void>((resume) => {
          whenAllHeard = () => resume(Effect.void)
          later(rung.time === "virtual" ? patience(rung) : 1000, whenAllHeard)
        })
      }
      return fiber
    })

    const fiber = yield* plan.dial === undefined ? speak : dialInVain
    // What they say because the conversation is taken down is no part of it.
    over()
    const isOver = fiber.pollUnsafe() !== undefined
    const leftAlone = Math.max(subject.endedAt, stoppedAt ?? 0, leftAt)
    const talk: Talk = {
      // Who keeps what was seen keeps no connection.
      exit: subject.exit && Exit.asVoid(subject.exit),
      endedAt: subject.endedAt,
      stoppedAt,
      stoppedIn,
      isOver,
      overAt: subject.overAt,
      lingered: isOver ? Math.max(0, subject.overAt - leftAlone - rung.lag) : Infinity,
      steps: subject.steps.seen,
      step: subject.steps.step,
      isGuarded: subject.steps.isGuarded,
      toldIn,
      receivedIn,
      pulled: subject.pulled,
      asked: subject.asked,
      worked: (Turns.worked() ?? 0) - workedBefore,
      opened: subject.tap?.opened ?? 0,
      released: subject.tap?.released ?? 0,
      examined: subject.examined,
      fibers: subject.fibers,
      written: subject.tap?.written ?? [],
      writesBefore,
      rest: subject.rest,
      restEnd: subject.restEnd,
      behind: subject.behind,
      messages: opposite.messages,
      said,
      frames: opposite.frames,
      hidden: opposite.hidden,
      altered: opposite.altered,
      isAllTold: told === opposite.messages.reduce((said, message) => said + message.length, 0),
      heard: concat(heard),
      isEndHeard,
      peerExit: opposite.exit && Exit.asVoid(opposite.exit),
      peerBehind: opposite.behind,
      transcript: recorder.entries()
    }
    return talk
  }))
