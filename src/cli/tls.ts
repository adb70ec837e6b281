/**
 * The flags of TLS, and the files behind them.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createSecureContext, type SecureContextOptions } from "node:tls"
import * as Certificates from "../internal/node/certificates.ts"
import type * as Tls from "../protocols/Tls.ts"
import * as ServerName from "../protocols/tls/serverName.ts"
import type * as Transport from "../Transport.ts"
import * as Flags from "./flags.ts"
import * as HangUp from "./hangUp.ts"

const file = (name: string, description: string) =>
  Flag.Path(name, { typeName: "file" }).pipe(Flag.withDescription(description), Flag.optional)

/** What a server with TLS is told. */
export const serverFlags = {
  tlsCert: file("tls-cert", "The certificate and those between it and the authority, in PEM; read again on SIGHUP"),
  tlsKey: file("tls-key", "Its private key, in PEM"),
  tlsClientCa: file("tls-client-ca", "Clients must have a certificate from one of these authorities, in PEM"),
  ciphers: Flag.String("ciphers").pipe(
    Flag.withMetavar("list"),
    Flag.withDescription(
      "The cipher suites, the best one first, as openssl ciphers takes them (default those of Node)"
    ),
    Flag.optional
  )
}

export interface ServerFlags {
  readonly tlsCert: Option.Option<string>
  readonly tlsKey: Option.Option<string>
  readonly tlsClientCa: Option.Option<string>
  readonly ciphers: Option.Option<string>
}

/** What a client with TLS is told. */
export const clientFlags = {
  tlsCa: file("tls-ca", "The authorities that the server's certificate may come from, in PEM (default those of Node)"),
  tlsVerify: Flag.Literals("tls-verify", ["full", "authority", "none"]).pipe(
    Flag.withDescription(
      "What the server has to prove: authority and name, the authority alone, or nothing (default full)"
    ),
    Flag.withDefault("full")
  ),
  tlsName: Flag.String("tls-name").pipe(
    Flag.withMetavar("name"),
    Flag.withDescription("The name that its certificate must be for (default the host)"),
    Flag.optional
  ),
  tlsCert: file("tls-cert", "The certificate to show to a server that asks, in PEM"),
  tlsKey: file("tls-key", "Its private key, in PEM"),
  alpn: Flag.String("alpn").pipe(
    Flag.withMetavar("protocols"),
    Flag.withDescription("What to offer with tls://, such as h2,http/1.1 (default nothing)"),
    Flag.optional
  )
}

export interface ClientFlags {
  readonly tlsCa: Option.Option<string>
  readonly tlsVerify: "full" | "authority" | "none"
  readonly tlsName: Option.Option<string>
  readonly tlsCert: Option.Option<string>
  readonly tlsKey: Option.Option<string>
  readonly alpn: Option.Option<string>
}

const cannotRead = (path: string) => (error: PlatformError.PlatformError) =>
  // sysexits.h: EX_NOINPUT
  Flags.failing(
    `cannot read ${path}: ${error.cause instanceof Error ? error.cause.message : error.message}`,
    66
  )

export const read = (path: string): Effect.Effect<string, Flags.Exited, FileSystem.FileSystem> =>
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) => Effect.catchTag(fs.readFileString(path), "PlatformError", cannotRead(path))
  )

// sysexits.h: EX_NOINPUT
const unusable = (message: string) => Flags.failing(message, 66)

const authorities = Effect.fnUntraced(function*(path: Option.Option<string>) {
  if (Option.isNone(path)) return Option.none<string>()
  const pem = yield* read(path.value)
  const problem = Certificates.authorityProblem([pem])
  if (problem !== undefined) return yield* unusable(`${path.value} ${problem}`)
  return Option.some(pem)
})

const whyUnusable = (problem: Certificates.Problem, certFile: string, keyFile: string): string => {
  switch (problem._tag) {
    case "NoCertificate":
      return `${certFile} has no certificate in PEM in it: ${problem.why}`
    case "NoKey":
      return `${keyFile} has no private key in PEM in it: ${problem.why}`
    case "Passphrase":
      return `the key in ${keyFile} has a passphrase; openssl pkey -in ${keyFile} -out FILE writes it without one`
    case "OtherKey":
      return problem.place === undefined
        ? `${keyFile} is not the key of the certificate in ${certFile}, which is for ${problem.first}`
        : `${keyFile} is the key of certificate ${problem.place} in ${certFile}, which has to stand first, before ` +
          problem.first
  }
}

// What is wrong with the files is said now, and not to the first who connects.
const certificate = Effect.fnUntraced(function*(
  flags: { readonly tlsCert: Option.Option<string>; readonly tlsKey: Option.Option<string> }
): Effect.fn.Return<Option.Option<Transport.TlsCertificate>, Flags.Exited, FileSystem.FileSystem> {
  const { tlsCert, tlsKey } = flags
  if (Option.isNone(tlsCert) && Option.isNone(tlsKey)) return Option.none()
  if (Option.isNone(tlsCert) || Option.isNone(tlsKey)) {
    return yield* Flags.failing("--tls-cert and --tls-key go together", Flags.usage)
  }
  const cert = yield* read(tlsCert.value)
  const key = Redacted.make(yield* read(tlsKey.value))
  const shown = Certificates.shown({ cert, key })
  if (Result.isFailure(shown)) return yield* unusable(whyUnusable(shown.failure, tlsCert.value, tlsKey.value))
  yield* prepared({ cert, key: Redacted.value(key) }, (why) => unusable(`cannot use ${tlsCert.value}: ${why}`))
  const now = new Date(yield* Clock.currentTimeMillis)
  for (const objection of Certificates.objections(shown.success, now)) {
    // With the name of the file, so that it is not told again when the certificate is used.
    Certificates.isNews(objection)
    if (!Flags.isWorker) yield* Console.error(`${tlsCert.value}: ${objection}`)
  }
  return Option.some({ cert, key })
})

/** What Node makes of it, and of the key no more than that it is none. */
const prepared = <E>(options: SecureContextOptions, otherwise: (why: string) => Effect.Effect<never, E>) =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(createSecureContext(options))
    } catch (cause) {
      return otherwise(Certificates.whyOf(cause))
    }
  })

const ciphersOf = Effect.fnUntraced(function*({ ciphers }: ServerFlags) {
  if (Option.isNone(ciphers)) return Option.none<string>()
  yield* prepared(
    { ciphers: ciphers.value },
    (why) => Flags.failing(`--ciphers ${JSON.stringify(ciphers.value)} cannot be used: ${why}`, Flags.usage)
  )
  return ciphers
})

const serverOptions = Effect.fnUntraced(function*(
  flags: ServerFlags
): Effect.fn.Return<Option.Option<Tls.ServerOptions>, Flags.Exited, FileSystem.FileSystem> {
  const own = yield* certificate(flags)
  const ca = yield* authorities(flags.tlsClientCa)
  const ciphers = yield* ciphersOf(flags)
  if (Option.isNone(own) && (Option.isSome(ca) || Option.isSome(ciphers))) {
    const flag = Option.isSome(ca) ? "--tls-client-ca" : "--ciphers"
    return yield* Flags.failing(`${flag} needs --tls-cert and --tls-key`, Flags.usage)
  }
  return Option.map(own, (certificate) => ({
    certificate,
    ...Option.isSome(ciphers) && { ciphers: ciphers.value },
    ...Option.isSome(ca) && { ca: ca.value, clientCertificate: "require" }
  }))
})

/**
 * The options of a server's TLS, as they are now: on SIGHUP the files are read again, for the connections from then on. What
 * is to happen when that was done is told later.
 */
export const serving = Effect.fnUntraced(function*(flags: ServerFlags, readAgain?: Flags.Later) {
  const first = yield* serverOptions(flags)
  if (Option.isNone(first)) return Option.none<Effect.Effect<Tls.ServerOptions>>()
  let current = first.value
  const again = Effect.matchEffect(serverOptions(flags), {
    // It was said why.
    onFailure: () => Console.error("the certificate stays what it was"),
    onSuccess: (options) => {
      if (Option.isSome(options)) current = options.value
      const told = Flags.isWorker ? Effect.void : Console.log("certificate read again")
      return Effect.andThen(readAgain?.on ?? Effect.void, told)
    }
  })
  yield* HangUp.onHangUp(again)
  return Option.some(Effect.sync(() => current))
})

/** The same, for a server that is TLS and nothing else. */
export const required = Effect.fnUntraced(function*(flags: ServerFlags, readAgain?: Flags.Later) {
  const options = yield* serving(flags, readAgain)
  if (Option.isSome(options)) return options.value
  return yield* Flags.failing("--tls-cert and --tls-key are needed", Flags.usage)
})

/** The options of a client's TLS for a server of this host. */
export const clientOptions = Effect.fnUntraced(function*(
  flags: Omit<ClientFlags, "alpn">,
  host: string
): Effect.fn.Return<Tls.ClientOptions, Flags.Exited, FileSystem.FileSystem> {
  const servername = Option.getOrElse(flags.tlsName, () => host)
  const named = ServerName.parse(servername)
  if (Result.isFailure(named)) return yield* Flags.failing(`cannot verify a server: ${named.failure}`, Flags.usage)
  const own = yield* certificate(flags)
  const ca = yield* authorities(flags.tlsCa)
  return {
    servername,
    verify: flags.tlsVerify,
    ...Option.isSome(ca) && { ca: ca.value },
    ...Option.isSome(own) && { certificate: own.value }
  }
})
