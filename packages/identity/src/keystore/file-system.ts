/** What is asked of a file or folder. */
export interface FileFacts {
  mode: number
  /** Names it has. */
  nlink: number
  size: number
  isFile(): boolean
  isDirectory(): boolean
}

/** An open file. */
export interface KeyFileHandle {
  stat(): Promise<FileFacts>
  chmod(mode: number): Promise<void>
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number
  ): Promise<{ bytesWritten: number }>
  /** On the disk when it resolves (fsync). */
  sync(): Promise<void>
  close(): Promise<void>
}

/** How a file is opened; none of these follows a symbolic link in the last place or waits for a pipe. */
export type KeyFileUse =
  | 'read'
  /** A new one of mode 0600; fails where anything stands. */
  | 'create'
  | 'overwrite'
  /** A folder, to flush it. */
  | 'folder'

/** The part of a file system a file store needs; errors carry the codes of POSIX (`ENOENT`). */
export interface KeyFileSystem {
  /** Whether files have modes, and folders can be flushed. */
  readonly posix: boolean
  readonly pid: number
  /** Whether a process of this machine has that id. */
  isAlive(pid: number): boolean
  join(folder: string, name: string): string
  open(path: string, use: KeyFileUse): Promise<KeyFileHandle>
  link(from: string, to: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  readdir(path: string): Promise<string[]>
  /** With its parents, of mode 0700 where it is made. */
  mkdir(path: string): Promise<void>
  stat(path: string): Promise<FileFacts>
  chmod(path: string, mode: number): Promise<void>
}
