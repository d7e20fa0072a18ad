/* Matrices copied whose rows may lie apart, as those of a slice do: branches of a network put side
 * by side, and taken apart. Items: (part of the columns, row). */
static void K(copy_matrix)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_copy_args *args = p;
    while (begin < end) {
        ptrdiff_t row = begin % args->rows, last = FD_MIN(row + end - begin, args->rows);
        fd_range part = fd_part(args->columns, 64 / (ptrdiff_t)sizeof(T), args->parts,
                                begin / args->rows);
        const T *x = (const T *)args->x + part.begin;
        T *y = (T *)args->y + part.begin;
        begin += last - row;
        for (; row < last; row++)
            if (args->stream)
                K(copy_out)(y + row * args->y_row, x + row * args->x_row, part.end - part.begin);
            else
                K(copy)(y + row * args->y_row, x + row * args->x_row, part.end - part.begin);
    }
}
