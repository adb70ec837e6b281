/**
 * What `probe` makes of a URL of PostgreSQL, and what it advises, without any connection.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { masked } from "../src/cli/flags.ts"
import * as Hints from "../src/cli/hints.ts"
import * as PostgresUrl from "../src/cli/postgresUrl.ts"
import { AuthenticationFailed, HandshakeError, type Reason, TlsFailure, UnexpectedEnd } from "../src/HandshakeError.ts"
import * as Postgres from "../src/protocols/Postgres.ts"

describe("the parameters of libpq", () => {
  const all = ["trust", "password", "md5", "scram-sha-256"]

  it.each([
    ["sslmode=disable", { sslmode: "disable" }],
    ["sslnegotiation=direct", { sslnegotiation: "direct" }],
    ["channel_binding=require", { channelBinding: "require" }],
    ["max_protocol_version=latest", { maxProtocolVersion: "3.2" }],
    ["max_protocol_version=3.0&min_protocol_version=3.0", { maxProtocolVersion: "3.0", minProtocolVersion: "3.0" }],
    ["min_protocol_version=3.2", { minProtocolVersion: "3.2" }],
    ["ssl_min_protocol_version=TLSv1.3", { minTlsVersion: "TLSv1.3" }],
    ["ssl_min_protocol_version=TLSv1.1", { minTlsVersion: undefined }],
    ["application_name=a+b%20c", { applicationName: "a+b c" }],
    ["application_name=a&application_name=b", { applicationName: "b" }],
    ["fallback_application_name=c", { applicationName: "c" }],
    ["options=-c%20geqo%3Doff&replication=database", {
      parameters: { options: "-c geqo=off", replication: "database" }
    }],
    ["client_encoding=auto", { parameters: {} }],
    ["client_encoding=utf-8", { parameters: {} }],
    ["gssencmode=prefer", {}],
    ["ssl=true", { sslmode: "require" }],
    ["ssl=true&sslmode=verify-ca", { sslmode: "verify-ca" }],
    ["require_auth=&options=&application_name=&fallback_application_name=b", {
      requireAuth: undefined,
      applicationName: "b",
      parameters: {}
    }],
    ["target_session_attrs=any", {}],
    ["require_auth=scram-sha-256,md5", { requireAuth: ["scram-sha-256", "md5"] }],
    ["require_auth=none", { requireAuth: ["trust"] }],
    ["require_auth=gss,password", { requireAuth: ["password"] }],
    ["require_auth=!none", { requireAuth: all.slice(1) }],
    ["require_auth=!password,!md5", { requireAuth: ["trust", "scram-sha-256"] }],
    // Nobody knows who hears a password that is shown.
    ["require_auth=!none&sslmode=require", { requireAuth: ["scram-sha-256"] }]
  ])("are taken: %s", (query, options) => {
    expect(Result.getOrThrow(PostgresUrl.parse(`?${query}`)).options).toMatchObject(options)
  })

  it("for files are taken as they are", () => {
    const parsed = PostgresUrl.parse("?sslrootcert=system&sslcert=a.pem&sslkey=b.pem")
    expect(Result.getOrThrow(parsed)).toMatchObject({ sslrootcert: "system", sslcert: "a.pem", sslkey: "b.pem" })
    expect(Result.getOrThrow(PostgresUrl.parse("?sslrootcert=&sslcert=&sslkey="))).toMatchObject({
      sslrootcert: undefined,
      sslcert: undefined,
      sslkey: undefined
    })
  })

  it.each([
    ["sslmode=allow", "\"disable\" or \"prefer\""],
    ["sslmode=secret", "\"verify-full\""],
    ["max_protocol_version=4.0", "\"latest\""],
    ["connect_timeout=5", "--timeout 5s"],
    ["target_session_attrs=read-write", "in_hot_standby"],
    ["gssencmode=require", "no GSSAPI"],
    ["client_encoding=secret", "UTF-8"],
    ["host=/tmp", "no Unix sockets"],
    ["hostaddr=127.0.0.1", "--tls-name"],
    ["port=5433", "behind the host"],
    ["user=ann", "in front of the host"],
    ["dbname=shop", "behind the host"],
    ["passfile=secret", "--password-file"],
    ["password=secret", "--password-file or PGPASSWORD"],
    ["service=prod", "write out"],
    ["sslcrl=x", "revoked"],
    ["sslrootcert=system&sslmode=require", "sslmode=verify-full"],
    ["require_auth=gss", "no method that this side knows"],
    ["require_auth=!none,!scram-sha-256&sslmode=disable", "no method that this side knows"],
    ["require_auth=!md5,password", "not both"],
    ["require_auth=secret", "a list of none, trust"],
    ["sslmode=", "\"disable\" or \"prefer\""],
    ["ssl=secret", "there are application_name, "],
    ["password=", "--password-file or PGPASSWORD"],
    ["sslmod=disable", "there are application_name, "],
    ["constructor=1", "there are application_name, "],
    ["application_name=%ff", "%25"]
  ])("are refused with what to do instead: %s", (query, says) => {
    const parsed = PostgresUrl.parse(`?${query}`)
    expect(Result.isFailure(parsed) && parsed.failure).toContain(says)
    expect(JSON.stringify(parsed)).not.toContain("secret")
  })

  it.each([
    ["postgres://ann@one:5432,two:5432/shop", "several hosts"],
    ["postgres://ann@%2Frun%2Fpostgresql/shop", "Unix socket"],
    ["postgres://ann@/shop", "no host"],
    ["postgres://ann@:5432/shop", "no host"],
    ["postgres://a,b@one/shop", undefined],
    ["postgres://ann@[::1]:5432/shop", undefined]
  ])("do not come with such a host: %s", (url, says) => {
    const problem = PostgresUrl.problemWithHost(url)
    if (says === undefined) expect(problem).toBeUndefined()
    else expect(problem).toContain(says)
  })
})

describe("a client that cannot be asked for", () => {
  const options = { user: "ann", sslmode: "disable" } as const

  it.each([
    ["a zero in a name", { user: "an\0n" }, "zero"],
    ["half of a character", { database: "\ud800" }, "half of a character"],
    ["a name that is too long", { user: "x".repeat(9990) }, "10000"],
    ["a zero in a parameter", { parameters: { options: "\0" } }, "zero"]
  ])("is known before anything is dialled: %s", (_, wrong, says) => {
    expect(() => Postgres.client({ ...options, ...wrong })).toThrow(TypeError)
    expect(() => Postgres.client({ ...options, ...wrong })).toThrow(says)
  })

  it("has names that are as long as a start-up packet may be", () => {
    // Length and version, "user", "database" and the client's encoding, each with its end.
    const rest = 8 + "user..database.d.client_encoding.UTF8..".length
    expect(() => Postgres.client({ ...options, database: "d", user: "x".repeat(10_000 - rest) })).not.toThrow()
    expect(() => Postgres.client({ ...options, database: "d", user: "x".repeat(10_001 - rest) })).toThrow("10001")
  })
})

describe("the hint", () => {
  const advised = (
    reason: Reason,
    probed: { readonly query?: string; readonly hasPassword?: boolean; readonly step?: string } = {}
  ) =>
    Hints.hint(new HandshakeError({ protocol: "postgres", step: probed.step ?? "authentication", reason }), {
      protocol: "postgres",
      query: new URLSearchParams(probed.query),
      hasPassword: probed.hasPassword ?? false
    })

  const failed = (method: string, fault: "local" | "peer") => new AuthenticationFailed({ method, detail: "x", fault })

  it("names the certificates between, where the server may have left them out", () => {
    const unknown = (detail: string) => advised(new TlsFailure({ kind: "unknown-authority", detail, fault: "peer" }))
    expect(unknown("unable to verify the first certificate")).toContain("leaves out")
    expect(unknown("self-signed certificate in certificate chain")).not.toContain("leaves out")
  })

  const said = (code: string, message: string) =>
    new Postgres.ServerError({
      by: "peer",
      said: message,
      code,
      retryable: false,
      fields: { severity: "FATAL", code, message }
    })

  it.each([
    ["a password that is missing", failed("scram-sha-256", "local"), {}, "passwords come from"],
    ["another trouble with a password", failed("scram-sha-256", "local"), { hasPassword: true }, undefined],
    ["GSSAPI", failed("GSSAPI", "local"), {}, "pg_hba.conf with scram-sha-256"],
    ["a password in clear", failed("password", "peer"), { hasPassword: true }, "sslmode=verify-full"],
    ["MD5 in clear", failed("md5", "peer"), { hasPassword: true }, "require_auth=md5"],
    ["a method that was not wanted", failed("password", "peer"), { query: "require_auth=none" }, undefined],
    ["no channel", failed("password", "peer"), { query: "channel_binding=require" }, undefined],
    [
      "a certificate that is missing",
      said("28000", "connection requires a valid client certificate"),
      {},
      "--tls-cert"
    ],
    [
      "a certificate of somebody else (clientcert=verify-full)",
      said("28000", "certificate authentication failed for user \"ann\""),
      {},
      "(CN)"
    ],
    [
      "a server that wants TLS",
      said("28000", "no pg_hba.conf entry for host \"::1\", no encryption"),
      {},
      "sslmode=require"
    ],
    ["any other refusal", said("28P01", "password authentication failed"), {}, undefined],
    [
      "direct TLS to an old server",
      new UnexpectedEnd({ excerpt: "" }),
      { query: "sslnegotiation=direct", step: "start TLS" },
      "before 17"
    ],
    [
      "direct TLS that is cut",
      new TlsFailure({ kind: "cut", detail: "x", fault: "peer" }),
      { query: "sslnegotiation=direct", step: "start TLS" },
      "before 17"
    ],
    [
      "direct TLS with a certificate for somebody else",
      new TlsFailure({ kind: "wrong-name", detail: "x", fault: "peer" }),
      { query: "sslnegotiation=direct", step: "start TLS" },
      "--tls-name"
    ],
    ["TLS that is cut", new TlsFailure({ kind: "cut", detail: "x", fault: "peer" }), { step: "start TLS" }, undefined]
  ])("for %s", (_, reason, probed, says) => {
    const hint = advised(reason, probed)
    if (says === undefined) expect(hint).toBeUndefined()
    else expect(hint).toContain(says)
  })
})

it.each([
  ["postgres://ann@db.example.com", "postgres://ann@db.example.com"],
  ["postgres://ann@db.example.com:5432/shop?x=1", "postgres://ann@db.example.com:5432/shop?x=1"],
  ["tls://a@b", "tls://a@b"],
  ["postgres://ann:secret@db", "postgres://ann:<redacted>@db"],
  ["postgres://ann:se/c@ret@db", "postgres://ann:<redacted>@db"],
  ["postgres://an/n:secret@db", "postgres://an/n:<redacted>@db"],
  ["ann:secret@db", "ann:<redacted>@db"],
  ["ann://secret@db", "ann:<redacted>@db"],
  ["postgres:ann:secret@db", "postgres:<redacted>@db"],
  ["postgres://ann@db?sslpassword=secret&a=b", "postgres://ann@db?sslpassword=<redacted>&a=b"]
])("masks a password, and nothing where there is none: %s", (text, shown) => {
  expect(masked(text)).toBe(shown)
})
